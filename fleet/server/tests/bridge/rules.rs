//! The rules and examples that are shipped, checked and tested by Prometheus' and Alertmanager's own tools.

use std::{path::PathBuf, process::Command};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("prometheus")
}

/// Runs a tool in the folder of the rules; its words, if it failed.
fn run(program: &str, package: &str, arguments: &[&str]) {
    let ran = Command::new(program).args(arguments).current_dir(folder()).output();
    let output = ran.unwrap_or_else(|error| panic!("{program} (package {package}): {error}"));
    let words = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&words));
}

#[test]
fn prometheus_takes_what_is_shipped() {
    run("promtool", "prometheus", &["check", "config", "prometheus.yml"]);
}

#[test]
fn every_alert_fires_in_its_failure_and_is_quiet_in_a_healthy_fleet() {
    run("promtool", "prometheus", &["test", "rules", "examgate-tests.yaml"]);
    // An alert that no test names could never have fired.
    let (rules, tests) = (folder().join("examgate-alerts.yaml"), folder().join("examgate-tests.yaml"));
    let text = |path: PathBuf| std::fs::read_to_string(path).expect("shipped");
    let (rules, tests) = (text(rules), text(tests));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
    }
}

#[test]
fn alertmanager_takes_the_example() {
    run("amtool", "prometheus-alertmanager", &["check-config", "alertmanager.yml"]);
    let route = |labels: &[&str], receiver: &str| {
        let verify = format!("--verify.receivers={receiver}");
        run(
            "amtool",
            "prometheus-alertmanager",
            &[&["config", "routes", "test", "--config.file=alertmanager.yml", &verify][..], labels].concat(),
        );
    };
    route(&["severity=page", "alertname=ExamgateBoxSilent"], "duty");
    route(&["severity=ticket", "alertname=ExamgateModelDrift"], "tickets");
}
