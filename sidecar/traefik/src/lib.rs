//! Labels in, Traefik's dynamic configuration out. Pure: no I/O, no clock.

use std::str::FromStr;

mod fields;
mod plan;
mod render;

pub use plan::{Plan, Tree};
pub use render::{BEACON, Backend, Document, render};

/// The rule of a router that no label describes, made from the service's name: Traefik's `defaultRule`.
#[derive(Clone, Debug)]
pub struct DefaultRule(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Name,
    NormalizedName,
}

impl DefaultRule {
    /// The rule for `service`.
    fn of(&self, service: &str) -> String {
        self.0.iter().fold(String::new(), |rule, part| {
            rule + &match part {
                Part::Text(text) => text.clone(),
                Part::Name => service.to_owned(),
                Part::NormalizedName => service.replace(|c: char| !c.is_alphanumeric(), "-"),
            }
        })
    }
}

impl FromStr for DefaultRule {
    type Err = String;

    fn from_str(template: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((text, after)) = rest.split_once("{{") {
            let (action, after) = after.split_once("}}").ok_or("`{{` has no `}}`")?;
            parts.push(Part::Text(text.to_owned()));
            parts.push(match action.split_whitespace().collect::<Vec<_>>().as_slice() {
                [".Name"] => Part::Name,
                ["normalize", ".Name"] => Part::NormalizedName,
                _ => {
                    return Err(format!(
                        "{{{{{action}}}}}: only {{{{ .Name }}}} and {{{{ normalize .Name }}}} are known"
                    ));
                }
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_is_not_understood_is_refused() {
        assert_eq!("Host(`{{.Name}}`)".parse::<DefaultRule>().unwrap().of("a_b"), "Host(`a_b`)");
        assert!("{{ index .Labels \"x\" }}".parse::<DefaultRule>().unwrap_err().contains("only {{ .Name }}"));
        assert!("{{ .Name".parse::<DefaultRule>().is_err());
    }
}
