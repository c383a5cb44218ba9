use super::*;

fn assert_all(patterns: &[&str], is_valid: bool) {
    for pattern in patterns {
        let found = check(pattern.as_bytes());
        assert_eq!(found.is_ok(), is_valid, "{pattern}: {found:?}");
    }
}

#[test]
fn patterns_that_go_accepts_are_valid() {
    let repeated = "(a|b)?".repeat(1000);
    let words: Vec<_> = (0..3000).map(|number| format!("host-{number}")).collect();
    let words = words.join("|");
    assert_all(
        &[
            "",
            "a",
            "|",
            "||a",
            "()",
            "(|a)*",
            "a|b*",
            "(?:a)",
            "(?P<n>a)(?<n>b)",
            "(?<1_a>x)",
            "^*",
            "$+",
            r"\b?",
            "a*?",
            "a+?b??",
            "a{2}?",
            "x{0}",
            "x{0,0}",
            "x{1000}",
            "x{2,}",
            "x{1000,}",
            "a{,2}",
            "a{",
            "a{1",
            "a{1,",
            "a{1,2",
            "a{01}",
            "a{x}",
            "{",
            "}",
            "]",
            "{a:b}",
            "(?i)a",
            "(?i)(?s-m:a)",
            "(?-i:a)",
            "a*(?i)*",
            "(?:a*)*",
            "(a*)+",
            "(?m-s)",
            "[a]",
            "[]a]",
            "[^]a]",
            "[-a]",
            "[a-]",
            "[--a]",
            "[a-b-c]",
            "[[a]",
            "[[:a]",
            "[[:alpha:]]",
            "[[:^digit:]a-z]",
            r"[\d-z]",
            r"[\]]",
            r"[\x{61}-\x7a]",
            r"[\p{Greek}\PN]",
            r"\d\D\s\S\w\W",
            r"\A\z\B",
            r"\Q*+?\E",
            r"\Q(",
            r"\Qab\E*",
            r"\Q\\E",
            r"\x41\x{10FFFF}\x{0000000041}",
            r"\0\01\012\101",
            r"\a\f\n\r\t\v",
            r"\.\-\_\/\%\ ",
            r"\pN\p{^Greek}\P{^Lu}\p{Letter}\p{l u}\p{LC}\p{any}",
            "é+",
            "(?s).",
            ".*",
            "(((x{10}){10}){10})",
            "(x{0}){1000}{x}",
            &repeated,
            &words,
        ],
        true,
    );
}

#[test]
fn patterns_that_go_rejects_are_errors() {
    assert_all(
        &[
            "(",
            ")",
            "a)",
            "(a",
            "(a))",
            "(a|b|",
            "*",
            "+a",
            "?",
            "|*",
            "(*)",
            "(|*)",
            "(?i)*",
            r"\Q\E*",
            "a**",
            "a*+",
            "a+*",
            "a??*",
            "a{2}{3}",
            "a{2}*",
            "a*??",
            "x{1001}",
            "x{2,1}",
            "x{1,1001}",
            "x{9876543210}",
            "x{1,99999999999999999999}",
            "(((x{10}){10}){11})",
            "(x{100}){11}",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<!a)",
            "(?",
            "(?i",
            "(?-)",
            "(?i-)",
            "(?i--s)",
            "(?a)",
            "(?#a)",
            "(?>a)",
            "(?P<>a)",
            "(?P<x y>a)",
            "(?P<é>a)",
            "(?P<n",
            "(?P=n)",
            "(?<>a)",
            "(?'n'a)",
            "[",
            "[]",
            "[^",
            "[a",
            "[a-",
            "[z-a]",
            "(?i)[a-Z]",
            r"[a-\d]",
            "[[:foo:]]",
            "[[:a]b:]",
            "[[:",
            r"[\]",
            r"\",
            r"\1",
            r"\8",
            r"\C",
            r"\e",
            r"\q",
            r"\é",
            r"\x",
            r"\x4",
            r"\xg1",
            r"\x{}",
            r"\x{g}",
            r"\x{110000}",
            r"\x{41",
            r"\p",
            r"\p{}",
            r"\p{^}",
            r"\p^",
            r"\p{Foo}",
            r"\p{Greek",
            r"\p{Old_Italic}",
            r"\pX",
            r"\E",
            r"\Z",
            r"\G",
            r"\u0041",
            r"\/\h",
        ],
        false,
    );
    assert!(check(b"a\xff").is_err());
}

#[test]
fn size_and_nesting_are_bounded() {
    for pattern in [
        "(".repeat(100_000),
        "(".repeat(1_000) + &")".repeat(1_000),
        "(?:".repeat(1_000) + &")*".repeat(1_000),
        format!("({}){{1000}}", "(xx?)".repeat(1_000)),
        "(xx?){1000}".repeat(1_000),
        r"\pL".repeat(27_000),
        "a{1}".to_owned() + &"(?i){1}".repeat(1_000),
        "[[:".repeat(300_000),
        "[[:a".repeat(300_000) + ":]",
        "a|".repeat(300_000),
    ] {
        let start = &pattern[..20];
        assert!(check(pattern.as_bytes()).is_err(), "{start}");
    }
}

#[test]
fn braces_that_stand_for_themselves_are_reported() {
    for (pattern, expected) in
        [("{sub:[a-z]+}.lan", &[0][..]), (r"a{2}\{b\}\p{Greek}\x{41}[{]", &[]), ("é{a}{b}", &[2, 5])]
    {
        assert_eq!(check(pattern.as_bytes()).as_deref(), Ok(expected), "{pattern}");
    }
}
