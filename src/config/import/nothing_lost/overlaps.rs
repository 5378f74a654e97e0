//! What has the same target, the same module or the same key as something else: neither hides the other.

use super::{BASH, comments, imported};

pub(super) fn lua_block(number: usize, options: &str) -> String {
    format!("sync{{default.rsync, source='/data/s{number}', target={options}}}\n")
}

#[test]
fn blocks_that_differ_in_anything_have_targets_of_their_own() {
    let text = [
        lua_block(1, "'alice@10.0.0.1::m/s1', rsync={chmod='D700'}"),
        lua_block(2, "'bob@10.0.0.1::m/s2', rsync={chmod='F600', timeout=31, _extra={'--timeout=40'}}"),
        lua_block(3, "'alice@10.0.0.1::m/s3', rsync={chmod='D700'}"),
        // The same place in another way, and with other excludes.
        lua_block(3, "'bob@10.0.0.1::m/s3'"),
        lua_block(3, "'10.0.0.2::m/s3', exclude={'x'}"),
        lua_block(3, "'10.0.0.3::m/s3'"),
    ];
    let written = imported(&text.concat(), "lsyncd");
    let settings = crate::config::parse(&written, "w").unwrap();
    let targets = |source: &str| settings.sources[source].targets.clone();
    assert_eq!([targets("s1"), targets("s2")], [vec!["m".to_owned()], vec!["m-2".to_owned()]], "{written}");
    assert_eq!(targets("s3"), ["m", "m-3"], "{written}");
    let (alice, bob) = (&settings.targets["m"].rsync, &settings.targets["m-2"].rsync);
    assert_eq!((alice.user.as_deref(), &alice.extra_args), (Some("alice"), &vec!["--chmod=D700".to_owned()]));
    assert_eq!((bob.user.as_deref(), &bob.extra_args), (Some("bob"), &vec!["--chmod=F600".to_owned()]));
    assert_eq!(bob.timeout.as_secs(), 31);
    for comment in [
        "Line 2: --timeout=40: another one takes its place (Line 2: --timeout=31)",
        "Line 4: sync{default.rsync, source = \"/data/s3\", target = \"bob@10.0.0.1::m/s3\"}: left out: another block mirrors",
        "exclude = {\"x\"}}: left out: another block has this source with other excludes",
    ] {
        assert!(comments(&written).contains(comment), "{comment}: {written}");
    }
}

#[test]
fn quotes_mean_what_they_meant() {
    let xml = |params: &str| {
        imported(
            &format!(
                "<head><sersync><localpath watch=\"/data/a\"><remote ip=\"h\" name=\"m\"/></localpath>\n<rsync><commonParams params=\"{params}\"/></rsync></sersync></head>"
            ),
            "xml",
        )
    };
    let written = xml("-artuz --exclude='*.log' --exclude=&quot;/a b/&quot;");
    assert!(written.contains("exclude = [\"*.log\", \"/a b/\"]"), "{written}");
    for params in ["-a --exclude='x", "-a `id`", "-a; id", "-a $X"] {
        let written = xml(params);
        assert!(comments(&written).contains(&format!("Line 2: <commonParams params=\"{params}\">: not taken over")));
        assert!(!written.lines().any(|line| line.starts_with("exclude")), "{written}");
    }
    let bash = imported(&format!("{BASH}extra_rsync_args=\"--exclude='*.log' -z\"\n"), "bash");
    assert!(comments(&bash).contains("Line 4: --exclude='*.log': not taken over"), "{bash}");
    assert!(bash.contains("extra-args = [\"-z\"]") && !bash.lines().any(|line| line.starts_with("exclude")), "{bash}");
}

#[test]
fn the_same_module_of_other_hosts_is_another_target() {
    let written = imported(
        "<head><sersync><localpath watch=\"/a\"><remote ip=\"h1\" name=\"m\"/><remote ip=\"h2\" name=\"m\"/></localpath>\n\
         <localpath watch=\"/b\"><remote ip=\"h3\" name=\"m\"/></localpath>\n\
         <localpath watch=\"/b\"><remote ip=\"h4\" name=\"m\"/><remote ip=\"h3\" name=\"m\"/></localpath>\n\
         <localpath watch=\"/c/b\"><remote ip=\"h5\" name=\"m\"/></localpath></sersync></head>",
        "xml",
    );
    for table in [
        "[targets.m]\nmodule = \"m\"\nhosts = [\"h1\", \"h2\"]",
        "[targets.m-2]\nmodule = \"m\"\nhosts = [\"h3\", \"h4\"]",
        "[sources.a]\npath = \"/a\"\ntargets = [\"m\"]",
        "[sources.b]\npath = \"/b\"\ntargets = [\"m-2\"]",
    ] {
        assert!(written.contains(table), "{table}: {written}");
    }
    assert!(
        comments(&written).contains("Line 4: <remote ip=\"h5\">: left out: another source has the name b"),
        "{written}"
    );
}

#[test]
fn what_takes_the_place_of_something_else_does_not_hide_it() {
    let cron = "cron_exp='0 */6 * * *'\nfull_rsync_interval=9\nkeep_history_backup_days=999999999999999999999\n";
    let written = imported(&[BASH, cron].concat(), "bash");
    for comment in [
        "Line 5: full_rsync_interval=9: another one takes its place (Line 4: cron_exp=\"0 */6 * * *\")",
        "Line 6: keep_history_backup_days=999999999999999999999: more days than can be kept",
    ] {
        assert!(comments(&written).contains(comment), "{comment}: {written}");
    }
    assert!(written.contains("keep-days = 36500"), "{written}");
    let uneven = imported(&format!("{BASH}cron_exp=\"0 3 * * 1,4\"\n"), "bash");
    assert!(comments(&uneven).contains("Line 4: cron_exp=0 3 * * 1,4: no crontab line with equal times"), "{uneven}");
    let xml = imported(
        "<head>\n<host hostip=\"localhost\" port=\"8008\"/>\n<debug start=\"false\"/><inotify><attrib start=\"false\"/></inotify>\n<sersync>\
         <localpath watch=\"/a\"><remote ip=\"h\" name=\"m\"/></localpath><failLog path=\"/f\" timeToExecute=\"60\"/></sersync></head>",
        "xml",
    );
    for comment in [
        "Line 2: <host hostip=\"localhost\">: not needed",
        "Line 2: <host port=\"8008\">: not needed",
        "Line 3: <debug start=\"false\">: use -v",
        "Line 3: <attrib start=\"false\">: not needed",
        "Line 4: <failLog timeToExecute=\"60\">: not needed",
    ] {
        assert!(comments(&xml).contains(comment), "{comment}: {xml}");
    }
}
