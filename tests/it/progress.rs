//! Progress bars, on a terminal that is one. What it shows is read by an emulator of a terminal, as a person would see it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::sersync::{Running, Sersync, config};
use crate::support::tree::{Comparer, assert_same};
use crate::support::{SOON, fixture, wait_for};

const COLUMNS: u16 = 100;
const ROWS: u16 = 24;
/// Files of the tree, of 2 KiB each.
const FILES: usize = 2_000;
/// A limit with which nothing comes to its end in time.
const FOR_EVER: &str = "16K";
const CTRL_C: &str = "\u{3}";

/// A tree that takes some seconds at 1 MiB/s; the number of its entries.
fn large_tree(root: &Path) -> u64 {
    for number in 0..FILES {
        let dir = root.join(format!("d{:02}", number / 100));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("f{number:04}")), fixture::bytes(2048)).unwrap();
    }
    fs::write(root.join("with\rreturn"), "1").unwrap();
    fs::write(root.join("  3  99% \r 1"), "2").unwrap();
    walkdir::WalkDir::new(root).min_depth(1).into_iter().count() as u64
}

/// The command for the mirror `name`, with a band so narrow that it takes long.
fn slow(place: &Place, target: &str, command: &str, bwlimit: &str) -> Sersync {
    // One run takes longer, on purpose.
    let timeout = if bwlimit == FOR_EVER { "4s" } else { "1h" };
    let file = config(
        &place.dir,
        &format!(
            "[rsync]\nbwlimit = '{bwlimit}'\n[full-sync]\ntimeout = '{timeout}'\n[targets.t]\n{target}\n\
             [sources.name]\npath = '{}'\ntargets = ['t']\n",
            place.source().display()
        ),
    );
    Sersync::new(&[command, "-c"]).arg(file).state_dir(&place.dir.path().join("state"))
}

/// A target of the configuration.
fn target(daemon: &Rsyncd) -> String {
    let (port, password) = (daemon.port(), daemon.password_file());
    format!(
        "module = 'mod'\nhosts = ['127.0.0.1:{port}']\nrsync = {{ user = 'tester', password-file = '{}' }}",
        password.display()
    )
}

/// What a person sees after all this was written to the terminal.
fn screen(text: &str) -> vt100::Parser {
    let mut terminal = vt100::Parser::new(ROWS, COLUMNS, 0);
    terminal.process(text.as_bytes());
    terminal
}

fn lines(text: &str) -> Vec<String> {
    let rows: Vec<String> = screen(text).screen().rows(0, COLUMNS).map(|row| row.trim_end().to_owned()).collect();
    rows.into_iter().filter(|row| !row.is_empty()).collect()
}

/// The `1,234/5,678` of a bar.
fn numbers(line: &str) -> Option<(u64, u64)> {
    let word = line.split_once("] ")?.1.split(' ').next()?;
    let (done, all) = word.split_once('/')?;
    Some((done.replace(',', "").parse().ok()?, all.replace(',', "").parse().ok()?))
}

/// Waits until a bar is somewhere in the middle.
#[track_caller]
fn wait_for_bar(run: &Running, what: &str, is_it: impl Fn(u64, u64) -> bool) {
    wait_for(what, SOON * 3, || {
        let text = run.stdout_so_far();
        assert!(!text.contains("error: "), "{text}");
        lines(&text).iter().filter_map(|line| numbers(line)).any(|(done, all)| is_it(done, all))
    });
}

/// No bar, nothing that Ctrl-C left, and the cursor is where the next line begins.
#[track_caller]
fn assert_clean(text: &str) {
    let terminal = screen(text);
    let shown = lines(text);
    assert!(shown.iter().all(|line| !line.contains("[#") && !line.contains("[-") && !line.contains("^C")), "{shown:?}");
    assert!(!terminal.screen().hide_cursor(), "the cursor is gone");
    assert_eq!(terminal.screen().cursor_position().1, 0, "{shown:?}");
}

#[test]
fn a_bar_shows_how_far_it_is_and_goes_without_a_trace() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    let entries = large_tree(&place.source());
    let run = slow(&place, &target(&daemon), "full-sync", "1M").on_terminal(COLUMNS, ROWS).spawn();
    wait_for_bar(&run, "a bar in the middle", |done, all| 0 < done && done < all && all == entries);
    let name = format!("name@127.0.0.1:{}/mod", daemon.port());
    let bar = lines(&run.stdout_so_far()).into_iter().find(|line| numbers(line).is_some()).unwrap_or_default();
    assert!(bar.is_empty() || bar.starts_with(&format!("{name} [")), "{bar}");
    let output = run.wait(SOON * 6).code(0);
    assert_clean(&output.stdout);
    let shown = lines(&output.stdout);
    let [result] = shown.as_slice() else { panic!("{shown:#?}") };
    assert!(result.starts_with(&format!("{name}: {} created, ", entries + 1)), "{result}");
    let counts: Vec<(u64, u64)> = output.stdout.split(['\r', '\n']).filter_map(numbers).collect();
    assert!(counts.is_sorted() && counts.iter().all(|(done, all)| done <= all && *all == entries), "{counts:?}");
    assert_same(&place.source(), &daemon.module_path().join("name"));
}

#[test]
fn ctrl_c_leaves_the_terminal_clean() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    large_tree(&place.source());
    let run = slow(&place, &target(&daemon), "full-sync", "200K").on_terminal(COLUMNS, ROWS).spawn();
    wait_for_bar(&run, "a bar", |done, _| done > 0);
    run.type_in(CTRL_C);
    let output = run.wait(SOON * 2).code(130);
    assert_clean(&output.stdout);
    let shown = lines(&output.stdout);
    assert!(shown.iter().any(|line| line.ends_with("stopped before it was done")), "{shown:?}");
    assert!(shown.last().is_some_and(|line| line.ends_with("FAILED")), "{shown:?}");
}

#[test]
fn verify_has_a_bar_as_well() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    let entries = large_tree(&place.source());
    place.command("full-sync", &daemon).run().code(0);
    // Names and checksums are all that is sent.
    let run = slow(&place, &target(&daemon), "verify", "4K").on_terminal(COLUMNS, ROWS).spawn();
    wait_for_bar(&run, "a bar", |_, all| all == entries);
    run.type_in(CTRL_C);
    assert_clean(&run.wait(SOON * 2).code(130).stdout);
}

#[test]
fn a_message_comes_as_a_whole_line_above_the_bars() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    large_tree(&place.source());
    let run = slow(&place, &target(&daemon), "full-sync", FOR_EVER).on_terminal(COLUMNS, ROWS).spawn();
    let output = run.wait(SOON * 3);
    assert_clean(&output.stdout);
    let message = "error: the pass takes longer than `timeout` in [full-sync]: stopping it";
    assert!(lines(&output.stdout).iter().any(|line| line == message), "{output}");
}

#[test]
fn of_many_mirrors_some_have_bars_and_the_rest_is_counted() {
    let place = Place::new();
    large_tree(&place.source());
    let mut text = format!("[rsync]\nbwlimit = '100K'\n[sources.name]\npath = '{}'\n", place.source().display());
    let targets: Vec<String> = (0..12).map(|number| format!("t{number}")).collect();
    writeln!(text, "targets = {targets:?}").unwrap();
    for target in &targets {
        let dir = place.dir.path().join(target);
        fs::create_dir(&dir).unwrap();
        writeln!(text, "[targets.{target}]\npath = '{}'", dir.display()).unwrap();
    }
    let file = config(&place.dir, &text);
    let run = Sersync::new(&["full-sync", "-c"]).arg(file).on_terminal(COLUMNS, ROWS).spawn();
    wait_for("ten bars and a line", SOON * 3, || {
        let shown = lines(&run.stdout_so_far());
        shown.len() == 11
            && shown.iter().filter_map(|line| numbers(line)).count() == 10
            && shown[10] == "and 2 more mirrors"
    });
    run.type_in(CTRL_C);
    let output = run.wait(SOON * 3).code(130);
    assert_clean(&output.stdout);
}

#[test]
fn what_is_in_a_name_does_not_reach_the_terminal() {
    let place = Place::new();
    large_tree(&place.source());
    let dir = place.dir.path().join("\u{1b}[8mevil\u{202e}\r");
    fs::create_dir(&dir).unwrap();
    let target = format!(r#"path = "{}/\u001b[8mevil\u202e\r""#, place.dir.path().display());
    let run = slow(&place, &target, "full-sync", "200K").on_terminal(COLUMNS, ROWS).spawn();
    wait_for_bar(&run, "a bar", |_, _| true);
    let text = run.stdout_so_far();
    assert!(text.contains("[8mevil\\u{202e}\\r [") && !text.contains("\u{1b}[8m"), "{text:?}");
    run.type_in(CTRL_C);
    assert_clean(&run.wait(SOON * 2).code(130).stdout);
}

#[test]
fn there_are_no_bars_where_they_are_not_wanted() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    large_tree(&place.source());
    let cases: [(&[&str], &str); 6] = [
        (&["--no-progress"], "xterm"),
        (&["--quiet"], "xterm"),
        (&["-vvv"], "xterm"),
        (&["--json"], "xterm"),
        (&["--dry-run"], "xterm"),
        (&[], "dumb"),
    ];
    for (args, term) in cases {
        // Long enough that there would be bars.
        let run =
            slow(&place, &target(&daemon), "full-sync", "4M").args(args).on_terminal(COLUMNS, ROWS).env("TERM", term);
        let output = run.limit(Duration::from_secs(60)).run().code(0);
        assert!(!output.stdout.contains('\u{1b}') && !output.stdout.contains("progress2"), "{args:?} {output}");
        let _ = fs::remove_dir_all(daemon.module_path().join("name"));
    }
}

#[test]
fn without_a_terminal_nothing_is_different() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    large_tree(&place.source());
    slow(&place, &target(&daemon), "full-sync", "4M").run().code(0).silent();
    place.command("verify", &daemon).run().code(0).silent();
    fs::write(place.source().join("new"), "").unwrap();
    for command in ["full-sync", "verify"] {
        let output = place.command(command, &daemon).arg("-vvv").run().code(0).stderr_has(" -lptgoD");
        assert!(!output.stderr.contains("progress"), "{output}");
    }
    Comparer::new().assert_same(&place.source(), &daemon.module_path().join("name"));
}

#[test]
fn a_watch_has_a_line_for_each_mirror_and_ends_in_a_summary() {
    let (place, mut daemon) = (Place::new(), Rsyncd::builder().start());
    let entries = large_tree(&place.source());
    let run = slow(&place, &target(&daemon), "watch", "1M").on_terminal(COLUMNS, ROWS).spawn();
    wait_for_bar(&run, "the bar of the first comparison", |done, all| 0 < done && done < all && all == entries);
    let name = format!("name@127.0.0.1:{}/mod", daemon.port());
    let line = || {
        let shown = lines(&run.stdout_so_far());
        shown.into_iter().find(|line| line.starts_with(&name)).unwrap_or_default()
    };
    wait_for("it is live", SOON * 6, || line().contains(" live  0 pending  ") && line().ends_with(" ago"));
    daemon.stop();
    fs::write(place.source().join("f"), "1").unwrap();
    wait_for("it is backing off", SOON * 3, || {
        line().contains(" backing off  1 pending  ") && line().contains(" behind")
    });
    daemon.start();
    wait_for("it is live again", SOON * 3, || line().contains(" live  0 pending  ") && !line().contains("behind"));
    run.type_in(CTRL_C);
    let output = run.wait(SOON * 2).code(130);
    assert_clean(&output.stdout);
    let shown = lines(&output.stdout);
    let summary = shown.last().unwrap();
    assert!(summary.starts_with(&format!("{name}: 1 batch: {} created, ", entries + 2)), "{shown:#?}");
    // What was said meanwhile stands above, as whole lines.
    assert!(shown.iter().any(|line| line.contains(": works again after ")), "{shown:#?}");
}

#[test]
fn a_watch_has_no_line_where_that_is_not_wanted() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    fs::write(place.source().join("f"), "").unwrap();
    for args in [["--no-progress"], ["--quiet"], ["-v"], ["--json"]] {
        let run = slow(&place, &target(&daemon), "watch", "4M").args(&args).args(&["--until-idle", "1s"]);
        let output = run.on_terminal(COLUMNS, ROWS).limit(Duration::from_secs(60)).run().code(0);
        assert!(!output.stdout.contains('\u{1b}'), "{args:?} {output}");
    }
}

#[test]
fn status_shows_itself_again_and_leaves_what_was_there_before() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    fs::write(place.source().join("f"), "").unwrap();
    slow(&place, &target(&daemon), "full-sync", "4M").run().code(0);
    let run = slow(&place, &target(&daemon), "status", "4M").arg("--watch").on_terminal(COLUMNS, ROWS).spawn();
    wait_for("it was shown twice", SOON, || run.stdout_so_far().matches("MIRROR").count() >= 2);
    let text = run.stdout_so_far();
    assert!(!text.contains("\u{1b}[3J") && !text.contains("\u{1b}[2J"), "{text:?}");
    assert_eq!(lines(&text).iter().filter(|line| line.starts_with("MIRROR")).count(), 1);
    run.type_in(CTRL_C);
    run.wait(SOON).code(130);
    // Who does not read any more is not written to for ever.
    let command = "\"$0\" \"$@\" | head -n 1";
    let args = ["-c", command, env!("CARGO_BIN_EXE_sersync"), "status", "--watch", "-c"];
    let config = place.dir.path().join("sersync.toml");
    Sersync::of("sh", &args).arg(config).limit(Duration::from_secs(30)).run().code(0);
}
