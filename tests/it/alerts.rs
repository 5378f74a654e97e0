//! The alerts and the dashboard of `packaging/`: they speak of nothing that the program does not know.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use regex::Regex;
use serde_json::Value;
use sersync::metrics::families::files;
use sersync::metrics::watching::STATES;

use crate::metrics::{Stand, promtool};
use crate::support::daemon::Rsyncd;
use crate::support::wait_for;
use crate::watch::LATER;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap()
}

/// The names of metrics in a text that the program does not write.
fn unknown(text: &str) -> Vec<String> {
    let known: BTreeSet<&str> = files().into_iter().flat_map(|file| file.families).map(|family| family.name).collect();
    let name = Regex::new(r"\b(?:sersync|rsync)_\w+").unwrap();
    let state = Regex::new(r#"state="([^"]*)""#).unwrap();
    let names = name.find_iter(text).map(|it| it.as_str()).filter(|name| !known.contains(name));
    let states = state.captures_iter(text).map(|it| it.get(1).unwrap().as_str()).filter(|it| !STATES.contains(it));
    names.chain(states).map(str::to_owned).collect()
}

/// The queries of the dashboard.
fn queries() -> Vec<String> {
    let board: Value = serde_json::from_str(&read("grafana/sersync.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

fn promtool_is_content(arguments: &[&str], file: &Path) {
    let Some(tool) = promtool() else { return };
    let output = Command::new(tool).args(arguments).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
}

#[test]
fn alerts_and_dashboard_know_every_metric_that_they_name() {
    let (rules, queries) = (read("prometheus/rules.yml"), queries());
    assert_eq!(unknown(&rules), [""; 0]);
    assert!(rules.matches("- alert:").count() >= 5 && queries.len() >= 15);
    for query in queries {
        assert_eq!(unknown(&query), [""; 0], "{query}");
        assert!(query.contains("sersync_"), "{query}");
    }
    assert_eq!(unknown("rate(sersync_nonsense_total[5m]) + sersync_watch_state{state=\"lively\"}").len(), 2);
}

#[test]
fn promtool_takes_the_alerts_and_they_fire_when_they_should() {
    promtool_is_content(&["check", "rules", "--lint-fatal"], &file("prometheus/rules.yml"));
    promtool_is_content(&["test", "rules"], &file("prometheus/rules_test.yml"));
}

#[test]
fn promtool_takes_every_query_of_the_dashboard() {
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, query) in queries().iter().enumerate() {
        let query = query.replace("$source", ".*").replace("$endpoint", ".*");
        assert!(!query.contains('$'), "{query}");
        let query = serde_json::to_string(&query).unwrap();
        writeln!(rules, "      - record: panel:number{number}\n        expr: {query}").unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dashboard.yml");
    fs::write(&file, rules).unwrap();
    promtool_is_content(&["check", "rules"], &file);
}

#[test]
fn the_panels_of_the_dashboard_have_each_a_place() {
    let board: Value = serde_json::from_str(&read("grafana/sersync.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{panel}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "two panels at {cell:?}");
        }
    }
}

/// A Prometheus that runs. It ends with its value.
struct Prometheus {
    child: Child,
    port: u16,
}

impl Prometheus {
    /// One that loads the alerts of the packages and asks `source` for metrics; nothing where there is no Prometheus, which is
    /// said.
    fn start(dir: &Path, source: u16) -> Option<Prometheus> {
        let program = promtool()?.with_file_name("prometheus");
        if !program.exists() {
            crate::support::skip("there is no prometheus beside promtool; tests/fetch-promtool.sh fetches both");
            return None;
        }
        let text = format!(
            "global: {{ scrape_interval: 200ms, evaluation_interval: 200ms, scrape_timeout: 200ms }}\nrule_files: ['{}']\n\
             scrape_configs: [{{ job_name: node, static_configs: [{{ targets: ['127.0.0.1:{source}'] }}] }}]\n",
            file("prometheus/rules.yml").display()
        );
        fs::write(dir.join("prometheus.yml"), text).unwrap();
        // The port may be given away before it binds it.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let child = Command::new(&program)
                .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut it = Prometheus { child, port };
            let mut ended = false;
            wait_for("prometheus to answer", LATER, || {
                ended = it.child.try_wait().unwrap().is_some();
                ended || it.get("/api/v1/rules").is_some()
            });
            if !ended {
                return Some(it);
            }
        }
        panic!("prometheus does not start");
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str::<Value>(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn rules(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/rules").unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers each request with what is in the files of a directory now, as `node_exporter` does. It ends with the test process.
fn exporter(dir: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let files = fs::read_dir(&dir).into_iter().flatten().flatten();
            let text: String = files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
            let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n{text}");
        }
    });
    port
}

#[test]
fn a_real_prometheus_takes_the_metrics_and_raises_the_alert() {
    let mut daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "");
    it.sersync("full-sync").run().code(0);
    let dir = tempfile::tempdir().unwrap();
    let Some(prometheus) = Prometheus::start(dir.path(), exporter(it.dir())) else { return };
    let state = |rules: &[Value], name: &str| {
        rules.iter().find(|rule| rule["name"] == name).map(|rule| rule["state"].as_str().unwrap().to_owned())
    };
    wait_for("all rules to be evaluated", LATER, || {
        let rules = prometheus.rules();
        rules.len() == read("prometheus/rules.yml").matches("- alert:").count()
            && rules.iter().all(|rule| rule["health"] == "ok")
    });
    wait_for("the metrics", LATER, || {
        let known = prometheus.get("/api/v1/query?query=sersync_last_run_exit_code").unwrap();
        known["data"]["result"][0]["value"][1] == "0"
    });
    assert_eq!(state(&prometheus.rules(), "SersyncPassFailed").unwrap(), "inactive");
    daemon.kill();
    it.sersync("full-sync").run().code(10);
    wait_for("the alert", LATER, || state(&prometheus.rules(), "SersyncPassFailed").unwrap() != "inactive");
}
