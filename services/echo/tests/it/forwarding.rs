use crate::process::Echo;

const REQUEST: &str = "GET PATH HTTP/1.1\r\nhost: test\r\nconnection: close\r\nx-forwarded-for: 6.6.6.6, 1.2.3.4\r\n\
                       x-forwarded-proto: https\r\nx-forwarded-host: app.example\r\nx-forwarded-prefix: /a\r\n\r\n";

#[test]
fn only_trusted_proxies_are_believed() {
    for (args, client, scheme, host, prefix) in [
        (&[] as &[&str], "127.0.0.1", "http", "test", None),
        (&["--trusted-proxy", "10.0.0.0/8"], "127.0.0.1", "http", "test", None),
        (&["--trusted-proxy", "10.0.0.0/8,127.0.0.1"], "1.2.3.4", "https", "app.example", Some("/a")),
    ] {
        let json = Echo::start(args).ask(&REQUEST.replace("PATH", "/api")).json();
        let found = [&json["client"], &json["scheme"], &json["externalHost"]];
        assert_eq!(found, [client, scheme, host], "{args:?}: {json}");
        assert_eq!(json.get("prefix").and_then(|prefix| prefix.as_str()), prefix, "{args:?}");
        // whoami's own fields show the request as received, whatever is trusted.
        assert_eq!(json["host"], "test");
        assert_eq!(json["hops"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn every_hop_is_shown_with_its_reporter() {
    let echo = Echo::start(&["--host", "echo-1", "--trusted-proxy", "127.0.0.0/8"]);
    let json = echo.ask(&REQUEST.replace("PATH", "/api")).json();
    assert_eq!(
        json["hops"],
        serde_json::json!([
            {"address": "6.6.6.6", "by": "1.2.3.4", "believed": false, "trusted": false, "from": "x-forwarded-for"},
            {"address": "1.2.3.4", "by": "127.0.0.1", "believed": true, "trusted": false, "from": "x-forwarded-for"},
            {"address": "127.0.0.1", "by": "echo-1", "believed": true, "trusted": true, "from": "connection"},
        ])
    );
    assert_eq!(
        echo.ask(&REQUEST.replace("PATH", "/hops")).text(),
        "client: 1.2.3.4\nscheme: https\nhost: app.example\nprefix: /a\n\n\
         1. 6.6.6.6, says 1.2.3.4 (x-forwarded-for): not believed\n\
         2. 1.2.3.4, says 127.0.0.1 (x-forwarded-for): believed\n\
         3. 127.0.0.1, says echo-1 (connection): trusted\n"
    );
}
