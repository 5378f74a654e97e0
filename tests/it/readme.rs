//! The README, done as it says: the commands of its tour are run in their order, and what they print is what it shows, but for
//! numbers. Its packages' commands are run by `make package-test`. Blocks without a mark are run by nobody, and are listed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

use crate::support::sersync::Sersync;

/// What is printed between the blocks of the tour, with the exit status of the one before.
const MARK: &str = "@@ block ends with";

/// A block of commands, and what the README says they print.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    mark: String,
    text: String,
    output: Option<String>,
}

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    // Text outside and inside of fences takes turns.
    for fenced in readme.split("\n```").skip(1).step_by(2) {
        let (kind, text) = fenced.split_once('\n').unwrap();
        let text = format!("{text}\n");
        match kind.split_once(' ').unwrap_or((kind, "")) {
            ("sh", mark) => blocks.push(Block { mark: mark.to_owned(), text, output: None }),
            ("text", _) => {
                if let Some(last) = blocks.last_mut().filter(|block| block.output.is_none()) {
                    last.output = Some(text);
                }
            }
            ("toml", "") => {}
            other => panic!("a block of another kind: {other:?}"),
        }
    }
    blocks
}

/// What stays the same from run to run and from host to host.
fn plain(text: &str, program: &str, home: &Path) -> Vec<String> {
    let text = text.replace(program, "/usr/local/bin/sersync").replace(home.to_str().unwrap(), "/home/you");
    let numbers = Regex::new(r"\d+([-.:]\d+)*").unwrap();
    let spaces = Regex::new(" +").unwrap();
    // Which event source is used, which rsync serves, and whether sessions stall, is a matter of the host and its load.
    let differs = ["`: watching ", "protocol ", "distance ", "sessions ", "-> write `socket options"];
    let same = |line: &&str| !differs.iter().any(|begin| line.contains(begin));
    let plain = |line: &str| {
        let line = numbers.replace_all(line, "N");
        spaces.replace_all(&line.replace("seconds", "second"), " ").trim_end().to_owned()
    };
    text.lines().filter(same).map(plain).collect()
}

/// Ends the daemon that the tour starts, should it come to no end of its own.
struct Daemon(PathBuf);

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(&self.0) {
            // When it has ended by itself, there is nothing to do.
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
    }
}

#[test]
fn the_tour_works_and_prints_what_the_readme_shows() {
    let home = tempfile::tempdir().unwrap();
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let program = bin.join("sersync");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sersync"), &program).unwrap();
    let _daemon = Daemon(home.path().join("sersync-try/rsyncd.pid"));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();

    let blocks: Vec<Block> = blocks(&read("README.md")).into_iter().filter(|block| block.mark == "try").collect();
    assert!(blocks.len() > 20, "{}", blocks.len());
    // `verify` looks again, after this time, at what has just changed. The test need not wait ten seconds for that.
    let sooner = "[watch]\nmax-delay = \"1s\"\n\n[targets.backup]";
    let mut script = "exec 2>&1\nset -u\n".to_owned();
    for block in &blocks {
        script.push_str(&block.text.replace("8730", &port).replace("[targets.backup]", sooner));
        script.extend(["echo \"", MARK, " $?\"\n"]);
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let run = Sersync::of("sh", &["-c", &script]).env("PATH", path).env("HOME", home.path()).run().code(0);

    let real = fs::canonicalize(&program).unwrap();
    let plain = |text: &str| plain(text, real.to_str().unwrap(), home.path());
    let mut printed = run.stdout.split(MARK);
    let mut output = printed.next().unwrap().to_owned();
    for block in &blocks {
        let (code, rest) = printed.next().unwrap_or_else(|| panic!("it ends early: {run}")).split_once('\n').unwrap();
        // The limits of this host may call for something.
        assert!(code == " 0" || block.text.contains("check-kernel"), "{code}: {}{output}", block.text);
        if let Some(expected) = &block.output {
            let (mut found, mut expected) = (plain(&output), plain(expected));
            if block.text.contains("sersync watch") {
                // A busy host may make the change while watch still compares, and it is a part of that.
                assert!(found.join(" ").contains("caught up: "), "{output}");
                (found, expected) = (found.split_off(found.len() - 1), expected.split_off(expected.len() - 1));
            }
            assert_eq!(found, expected, "{}", block.text);
        }
        output = rest.to_owned();
    }
}

#[test]
fn both_languages_have_the_same_commands() {
    let comment = Regex::new(r"(?m)(^|\s+)#( .*)?$").unwrap();
    let commands = |name: &str| -> Vec<Block> {
        let same = |block: Block| Block { text: comment.replace_all(&block.text, "").into_owned(), ..block };
        blocks(&read(name)).into_iter().map(same).collect()
    };
    let (english, chinese) = (commands("README.md"), commands("README.zh.md"));
    for (one, other) in english.iter().zip(&chinese) {
        assert_eq!(one, other);
    }
    assert_eq!(english.len(), chinese.len());
}

/// Each block that nobody runs is listed by its first line, under the reason why.
#[test]
fn what_is_not_run_is_known_and_argued_for() {
    let listed = read("tests/golden/readme-not-run.txt");
    let lines: Vec<&str> = listed.lines().collect();
    let known: Vec<&str> = lines.iter().copied().filter(|line| !line.starts_with("# ")).collect();
    let all = blocks(&read("README.md"));
    let not_run = all.iter().filter(|block| block.mark.is_empty());
    let found: Vec<&str> = not_run.map(|block| block.text.lines().next().unwrap()).collect();
    assert_eq!(found, known, "tests/golden/readme-not-run.txt");
    for (above, line) in lines.iter().zip(&lines[1..]) {
        assert!(line.starts_with("# ") || above.starts_with("# "), "no reason: {line}");
    }
}

/// Every other mark is one of the tour, or one that the tests of the packages name.
#[test]
fn what_is_marked_is_run() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages");
    let scripts = fs::read_dir(dir).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let scripts: String = scripts.collect();
    let run: Vec<&str> = scripts.lines().filter(|line| line.contains("documented ")).collect();
    for Block { mark, .. } in blocks(&read("README.md")) {
        let known = |line: &&str| line.split_whitespace().any(|word| word == mark);
        assert!(mark.is_empty() || mark == "try" || run.iter().any(known), "nobody runs {mark}");
    }
}

/// What a document is made of, in its order: the depth of each heading, and how many paragraphs, points of lists, rows of tables
/// and blocks are below it.
fn shape(readme: &str) -> Vec<(usize, String, [usize; 4])> {
    let point = Regex::new(r"^(\*|\d+\.) ").unwrap();
    let mut sections: Vec<(usize, String, [usize; 4])> = Vec::new();
    for (place, part) in readme.split("\n```").enumerate() {
        if place % 2 == 1 {
            sections.last_mut().unwrap().2[3] += 1;
            continue;
        }
        // What goes on after a blank line.
        for paragraph in part.split("\n\n").map(str::trim).filter(|text| !text.is_empty()) {
            for line in paragraph.lines().filter(|line| line.starts_with('#')) {
                sections.push((line.split(' ').next().unwrap().len(), line.to_owned(), [0; 4]));
            }
            let counts = &mut sections.last_mut().unwrap().2;
            counts[1] += paragraph.lines().filter(|line| point.is_match(line)).count();
            counts[2] += paragraph.lines().filter(|line| line.starts_with('|')).count();
            counts[0] += usize::from(!paragraph.starts_with(['#', '|']) && !point.is_match(paragraph));
        }
    }
    sections
}

#[test]
fn both_languages_have_the_same_sections_with_as_much_in_them() {
    let (english, chinese) = (shape(&read("README.md")), shape(&read("README.zh.md")));
    for ((depth, name, counts), (other_depth, other_name, other_counts)) in english.iter().zip(&chinese) {
        assert_eq!((depth, counts), (other_depth, other_counts), "{name} / {other_name}");
    }
    assert_eq!(english.len(), chinese.len());
}

/// All code below a directory.
fn sources(name: &str) -> String {
    let files = walkdir::WalkDir::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).into_iter().map(Result::unwrap);
    let code = files.filter(|file| file.path().extension().is_some_and(|kind| kind == "rs"));
    code.map(|file| fs::read_to_string(file.path()).unwrap()).collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let code = sources("tests/it") + &sources("src");
    let with_module = r"`(?:[a-z_*]+::)+([a-z0-9_]+)`";
    for (name, named, least) in [
        ("README.md", with_module, 6),
        ("README.zh.md", with_module, 6),
        ("SECURITY.md", r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`", 20),
    ] {
        let (text, named) = (read(name), Regex::new(named).unwrap());
        let tests: Vec<String> = named.captures_iter(&text).map(|found| found[1].to_owned()).collect();
        for test in &tests {
            assert!(code.contains(&format!("fn {test}(")), "{name}: there is no test {test}");
        }
        assert!(tests.len() >= least, "{name}: {tests:?}");
    }
}

/// A message that the program does not have any more would help nobody.
#[test]
fn every_message_that_is_explained_exists() {
    let text = sources("src");
    // Lines that are continued.
    let text = Regex::new(r"\\\n\s*").unwrap().replace_all(&text, "").into_owned();
    let message = Regex::new("^\\| (`` ?(.+?) ?``|`(.+?)`)([^|]*)\\|").unwrap();
    for name in ["README.md", "README.zh.md"] {
        let rows: Vec<String> = read(name).lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
        let mut found = 0;
        for row in &rows {
            let parts = message.captures(row).unwrap_or_else(|| panic!("{name}: {row}"));
            let said = parts.get(2).or(parts.get(3)).unwrap().as_str();
            // What rsync says is not ours.
            if parts[4].trim().is_empty() {
                assert!(text.contains(said), "{name}: no message has this: {said}");
                found += 1;
            }
        }
        assert!(found > 15, "{name}: {found}");
    }
}
