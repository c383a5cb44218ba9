//! Numbers in texts for people.

/// Formats a count with thousands separators: `120,000`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a duration in seconds with a fixed number of digits, for columns: `420 µs`, `3.2 ms`, `41.2 s`.
pub fn time(seconds: f64) -> String {
    match seconds {
        // The bounds are where rounding would yield 1000 of a unit.
        _ if seconds < 0.000_999_5 => format!("{:.0} µs", seconds * 1e6),
        _ if seconds < 0.099_95 => format!("{:.1} ms", seconds * 1e3),
        _ if seconds < 0.999_5 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds < 9.995 => format!("{seconds:.2} s"),
        _ => format!("{seconds:.1} s"),
    }
}

/// Formats a duration in seconds without trailing zeros, for sentences: `812 µs`, `3 ms`, `10 min`.
pub fn brief(seconds: f64) -> String {
    if seconds.is_nan() || seconds <= 0.0 {
        "0 ms".to_owned()
    } else if seconds < 0.9995e-3 {
        format!("{} µs", digits(seconds * 1e6))
    } else if seconds < 0.9995 {
        format!("{} ms", digits(seconds * 1e3))
    } else if seconds < 119.95 {
        format!("{} s", digits(seconds))
    } else {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 119")]
        let seconds = seconds.round() as u64;
        match seconds % 60 {
            0 => format!("{} min", count(seconds / 60)),
            rest => format!("{} min {rest} s", count(seconds / 60)),
        }
    }
}

/// Three significant digits, without trailing zeros.
fn digits(value: f64) -> String {
    let places = if value >= 99.95 {
        return format!("{value:.0}");
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let text = format!("{value:.places$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats a point in time in seconds: `41.2 s`.
pub fn moment(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

/// Formats a fraction as a percentage: `33.4 %`.
pub fn percent(fraction: f64) -> String {
    format!("{:.1} %", fraction * 100.0)
}

/// Formats a number of bytes with three digits: `1.23 MB`.
pub fn bytes(bytes: f64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.iter().find(|(unit, _)| bytes >= 0.9995 * unit) {
        Some((unit, name)) => format!("{} {name}", digits(bytes / unit)),
        None => format!("{bytes:.0} B"),
    }
}

/// Formats a rate in requests per second: `2,000/s`.
pub fn rate(rate: f64) -> String {
    if rate < 10.0 {
        return format!("{rate:.1}/s");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number")]
    let whole = rate.round() as u64;
    format!("{}/s", count(whole))
}

/// Sums up instances that are not shown, by their shares and failed requests: `and 35 more: 0.8 % to 1.2 % each`.
pub(crate) fn rest(shares: impl IntoIterator<Item = f64>, failed: u64) -> String {
    let (mut number, mut least, mut most) = (0, f64::INFINITY, 0.0_f64);
    for share in shares {
        (number, least, most) = (number + 1, least.min(share), most.max(share));
    }
    let (least, most) = (percent(least), percent(most));
    let shares = if least == most { least } else { format!("{least} to {most}") };
    let each = if number == 1 { "" } else { " each" };
    let failed = match failed {
        0 => String::new(),
        failed => format!(", {} failed", count(failed)),
    };
    format!("and {} more: {shares}{each}{failed}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 12.4, 999.0, 999.7, 1234.0, 2_500_000.0, 7.07e9, 1e12].map(bytes);
        assert_eq!(shown, ["0 B", "12 B", "999 B", "1 kB", "1.23 kB", "2.5 MB", "7.07 GB", "1000 GB"]);
        assert_eq!(
            [0, 999, 1000, 120_000, 1_234_567].map(count),
            ["0", "999", "1,000", "120,000", "1,234,567"]
        );
        assert_eq!(
            [0.0, 0.000_42, 0.000_999_9, 0.0032, 0.25, 0.9999, 1.5, 41.23].map(time),
            ["0 µs", "420 µs", "1.0 ms", "3.2 ms", "250 ms", "1.00 s", "1.50 s", "41.2 s"]
        );
        assert_eq!(
            (percent(0.3341), rate(2000.4), rate(0.5)),
            ("33.4 %".into(), "2,000/s".into(), "0.5/s".into())
        );
    }

    #[test]
    fn hidden_instances_are_summed_up() {
        assert_eq!(rest([0.012, 0.008, 0.01], 0), "and 3 more: 0.8 % to 1.2 % each");
        assert_eq!(rest([0.01; 1200], 7), "and 1,200 more: 1.0 % each, 7 failed");
        assert_eq!(rest([0.01], 0), "and 1 more: 1.0 %");
    }

    #[test]
    fn brief_time_has_a_suitable_unit() {
        let seconds = [0.0, 7e-7, 812e-6, 0.000_999_7, 0.003, 0.0412, 0.2501, 0.9996, 41.23, 60.0, 119.96];
        let expected = [
            "0 ms", "0.7 µs", "812 µs", "1 ms", "3 ms", "41.2 ms", "250 ms", "1 s", "41.2 s", "60 s", "2 min",
        ];
        assert_eq!(seconds.map(brief), expected);
        assert_eq!([600.0, 605.4, 72_000.0].map(brief), ["10 min", "10 min 5 s", "1,200 min"]);
        assert_eq!([-1.0, f64::NAN].map(brief), ["0 ms", "0 ms"]);
    }
}
