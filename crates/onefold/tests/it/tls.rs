//! The listener with TLS: reached by its certificate alone, which is renewed without a restart.

use std::{net::TcpStream, process::Command};

use reqwest::{Certificate, blocking::Client};
use serde_json::Value;

use crate::support::{Folder, pause};

/// A certificate of its own signature for `localhost`: chain and key, PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn trusting(chain: &str) -> Client {
    let root = Certificate::from_pem(chain.as_bytes()).unwrap();
    Client::builder().no_proxy().tls_built_in_root_certs(false).add_root_certificate(root).build().unwrap()
}

#[test]
fn a_new_certificate_counts_without_a_restart_and_a_broken_one_does_not() {
    let (first, key) = certificate();
    let beside = Folder::new();
    let (chain_file, key_file) = (beside.file("chain.pem", &first), beside.file("key.pem", &key));
    let folder = Folder::with(vec![
        ("ONEFOLD_SERVER__TLS_LISTEN", "127.0.0.1:0".to_owned()),
        ("ONEFOLD_SERVER__TLS_CERTIFICATE", chain_file.display().to_string()),
        ("ONEFOLD_SERVER__TLS_KEY", key_file.display().to_string()),
    ]);
    let server = folder.serve();
    let running: Value = serde_json::from_slice(&std::fs::read(folder.path().join("server.json")).unwrap()).unwrap();
    let port = running["tls"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let reaches = |client: &Client| {
        client.get(format!("https://localhost:{port}/healthz")).send().is_ok_and(|answer| answer.status() == 200)
    };
    // Whoever connects and says nothing holds up nobody.
    let _silent: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(format!("127.0.0.1:{port}")).unwrap()).collect();
    assert!(reaches(&trusting(&first)));
    assert!(!reaches(&trusting(&certificate().0)), "another certificate is not trusted");
    assert!(folder.json(&["stats"]).is_object(), "the command line goes by the plain one");

    let hang_up = || {
        let pid = running["pid"].to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    };
    let (second, key) = certificate();
    std::fs::write(&chain_file, &second).unwrap();
    hang_up();
    // The key does not fit: the certificate before stays.
    assert!(reaches(&trusting(&first)));
    std::fs::write(&key_file, &key).unwrap();
    hang_up();
    while !reaches(&trusting(&second)) {
        pause();
    }
    assert!(!reaches(&trusting(&first)));
    drop(server);

    // What cannot be read is said when the server starts.
    std::fs::write(&key_file, "nothing").unwrap();
    let output = folder.output(&["serve", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("key.pem") && said.contains("tls_certificate"), "{said}");
}
