//! What comes of the labels at one place, and what is to be said of it.

use protocol;
use traefik::{Diagnostic, Exposure, ServiceConfig, Translation};

use super::input::{Input, Labels};
use super::variables::Variables;

/// What services are called, and how they are found by default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Naming<'a> {
    pub(crate) stack: Option<&'a str>,
    /// For labels that are of no stack file.
    pub(crate) service: &'a str,
    pub(crate) exposure: &'a Exposure,
}

/// Where labels stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `labels` of a service in a stack file.
    Service,
    /// `deploy.labels` of one.
    Deploy,
    /// In no stack file.
    Alone,
}

/// What comes of the labels at one place.
#[derive(Clone, Debug)]
pub(crate) struct Translated {
    pub(crate) service: String,
    pub(crate) place: Place,
    /// All labels as they should be, those that are not Traefik's among them. None where one is faulty.
    pub(crate) labels: Labels,
    pub(crate) warnings: Vec<String>,
    pub(crate) faults: Vec<String>,
}

impl Translated {
    /// Translates what is there, in its order.
    pub(crate) fn of(input: &Input, naming: &Naming<'_>) -> Vec<Self> {
        let services = match input {
            Input::Labels(labels) => {
                return vec![at(naming.service, naming.service, Place::Alone, labels, naming)];
            }
            Input::Stack(services) => services,
        };
        let mut all = Vec::new();
        for service in services {
            let name = &service.name;
            let full = naming.stack.map_or_else(|| name.clone(), |stack| format!("{stack}_{name}"));
            for (place, labels) in
                [(Place::Service, &service.labels), (Place::Deploy, &service.deploy_labels)]
            {
                all.extend(labels.as_ref().map(|labels| at(name, &full, place, labels, naming)));
            }
        }
        all
    }

    /// Whether one of the labels cannot be read.
    pub(crate) fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }

    /// All that is to be said, each with the service where there are several.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = String> {
        let place = match self.place {
            Place::Service => format!("services.{}.labels: ", self.service),
            Place::Deploy => format!("services.{}.deploy.labels: ", self.service),
            Place::Alone => String::new(),
        };
        let warnings = self.warnings.iter().map(|warning| format!("warning: {warning}"));
        let faults = self.faults.iter().map(|fault| format!("error: {fault}"));
        faults.chain(warnings).map(move |remark| format!("{place}{remark}"))
    }
}

/// `name` is what the file calls the service whose name is `full`.
fn at(name: &str, full: &str, place: Place, labels: &Labels, naming: &Naming<'_>) -> Translated {
    let mut variables = Variables::default();
    let in_stack = place != Place::Alone;
    let mut hide = |text: &str| if in_stack { variables.hide(text) } else { text.to_owned() };
    let hidden = labels.iter().map(|(key, value)| (key.clone(), hide(value))).collect();
    let hidden = protocol::Labels(hidden);
    let rule = naming.exposure.rule_for(full, &hidden);
    let mut translation = crate::translate(full, &hidden, rule.as_deref());
    leave_priorities_open(&mut translation, &hidden, &variables);

    let mut all = hidden.clone();
    all.0.retain(|key, _| !crate::is_v1(key));
    all.0.append(&mut translation.labels.0);
    let said = |remark: &Diagnostic| variables.put_back(&remark.to_string());
    let mut faults: Vec<_> = translation.errors.iter().map(said).collect();
    let today = Translation { labels: all.clone(), ..Translation::default() };
    if let Err(errors) =
        ServiceConfig::from_translation(full, &hidden, today, rule.as_deref(), naming.exposure)
    {
        faults.push(variables.put_back(&errors.to_string()));
    }
    for key in all.0.keys().filter(|key| variables.are_in(key)) {
        let key = variables.put_back(key);
        faults.push(format!(
            "{key}: a stack file's keys take no variables, which traefik.backend or a header had here"
        ));
    }
    let show = |text: &str| if in_stack { variables.show(text) } else { text.to_owned() };
    let shown = all.0.iter().map(|(key, value)| (key.clone(), show(value)));
    Translated {
        service: name.to_owned(),
        place,
        labels: if faults.is_empty() { shown.collect() } else { Labels::new() },
        warnings: translation.warnings.iter().map(said).collect(),
        faults,
    }
}

/// How long a rule was is not known where it takes a variable.
fn leave_priorities_open(translation: &mut Translation, said: &protocol::Labels, variables: &Variables) {
    let open = said.0.iter().filter(|(key, value)| {
        key.to_ascii_lowercase().ends_with("frontend.rule") && crate::is_v1(key) && variables.are_in(value)
    });
    let open: Vec<String> = open.map(|(key, _)| key.clone()).collect();
    if open.is_empty() || said.0.keys().any(|key| key.to_ascii_lowercase().ends_with("frontend.priority")) {
        return;
    }
    let rules = translation.labels.0.iter().filter(|(_, value)| variables.are_in(value));
    let routers = rules.filter_map(|(key, _)| key.strip_suffix(".rule"));
    let priorities: Vec<String> = routers.map(|router| format!("{router}.priority")).collect();
    translation.labels.0.retain(|key, _| !priorities.contains(key));
    translation.warnings.push(Diagnostic::new(
        open.join(", "),
        "Traefik 1's priority was the length of this, which a variable leaves open: where rules overlap, set \
               the router's priority",
    ));
}
