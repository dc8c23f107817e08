//! Saves of every kind against the real file system. Nothing here hopes for a time: a test waits
//! for the event, with a limit that only a broken watcher reaches.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Watcher;
use crate::settings::Watch;

/// Only a broken watcher takes this long.
const LIMIT: Duration = Duration::from_secs(10);

/// Long enough for any event that was on its way.
const QUIET: Duration = Duration::from_millis(250);

struct Scene {
    temp: tempfile::TempDir,
    watcher: Watcher,
}

impl Scene {
    /// A watched folder with the file `x.lua`; its first changes are over.
    async fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("x.lua"), "old").unwrap();
        let mut scene = Self { temp, watcher: Watcher::new(Watch::Native) };
        scene.watch(&[""]).await;
        scene
    }

    /// Watches these folders and takes in that they are new.
    async fn watch(&mut self, folders: &[&str]) {
        self.watcher.watch(&folders.iter().map(|folder| self.path(folder)).collect());
        assert_eq!(self.watcher.mode(), Watch::Native);
        self.changed().await;
        self.drain(folders).await;
    }

    /// Takes in all that is still on its way.
    async fn drain(&mut self, folders: &[&str]) {
        let end = Instant::now() + LIMIT;
        self.rewatch(folders);
        while timeout(QUIET, self.watcher.changed()).await.is_ok() {
            assert!(Instant::now() < end, "the reports do not end");
            self.rewatch(folders);
        }
    }

    /// The quickest of ten reports of `save`: one alone may meet a busy machine.
    async fn quickest(&mut self, save: impl Fn(&Self)) -> Duration {
        let mut quickest = LIMIT;
        for _ in 0..10 {
            let start = Instant::now();
            save(self);
            self.changed().await;
            quickest = quickest.min(start.elapsed());
            self.drain(&[""]).await;
        }
        quickest
    }

    fn rewatch(&mut self, folders: &[&str]) {
        self.watcher.watch(&folders.iter().map(|folder| self.path(folder)).collect());
    }

    fn path(&self, path: &str) -> PathBuf {
        self.temp.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        fs::write(self.path(path), content).unwrap();
    }

    async fn changed(&mut self) {
        timeout(LIMIT, self.watcher.changed()).await.unwrap();
    }

    async fn quiet(&mut self) {
        let changed = timeout(QUIET, self.watcher.changed()).await;
        assert!(changed.is_err(), "a change is reported where there was none");
    }

    /// As the server does: whenever something changed look, until the file reads `content`.
    async fn live(&mut self, path: &Path, content: &str, folders: &[&str]) {
        while fs::read_to_string(path).ok().as_deref() != Some(content) {
            self.changed().await;
            self.rewatch(folders);
        }
    }
}

#[tokio::test]
async fn a_save_in_place_is_reported_soon() {
    let mut scene = Scene::new().await;
    let took = scene.quickest(|scene| scene.write("x.lua", "new")).await;
    // An unfinished change would be waited for in silence.
    assert!(took < super::SILENCE, "{took:?}");
}

#[tokio::test]
async fn a_rename_save_is_reported_soon() {
    let mut scene = Scene::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let took = scene.quickest(|scene| {
        let other = elsewhere.path().join("x.lua");
        fs::write(&other, "new").unwrap();
        fs::rename(other, scene.path("x.lua")).unwrap();
    });
    let took = took.await;
    assert!(took < super::SILENCE, "{took:?}");
}

#[tokio::test]
async fn a_truncation_waits_for_the_write_behind_it() {
    let mut scene = Scene::new().await;
    let path = scene.path("x.lua");
    let mut file = fs::File::create(&path).unwrap();
    let writer = async {
        tokio::time::sleep(super::SILENCE / 5).await;
        file.write_all(b"new").unwrap();
        drop(file);
    };
    let seen = async {
        scene.changed().await;
        fs::read_to_string(&path).unwrap()
    };
    assert_eq!(tokio::join!(seen, writer).0, "new");
}

#[tokio::test]
async fn a_file_that_stays_open_is_reported_after_silence() {
    let mut scene = Scene::new().await;
    let mut file = fs::File::options().append(true).open(scene.path("x.lua")).unwrap();
    file.write_all(b"more").unwrap();
    let start = Instant::now();
    scene.changed().await;
    assert!(start.elapsed() >= super::SILENCE / 2, "{:?}", start.elapsed());
}

#[tokio::test]
async fn writes_without_a_pause_do_not_put_the_report_off_for_ever() {
    let mut scene = Scene::new().await;
    let mut file = fs::File::options().append(true).open(scene.path("x.lua")).unwrap();
    let writer = async {
        loop {
            file.write_all(b"more").unwrap();
            tokio::time::sleep(super::SILENCE / 10).await;
        }
    };
    tokio::select! {
        () = scene.changed() => {}
        () = writer => {}
    }
}

#[tokio::test]
async fn a_config_map_swap_is_reported() {
    let mut scene = Scene::new().await;
    for (version, content) in [("..1", "one"), ("..2", "two"), ("..3", "three")] {
        fs::create_dir(scene.path(version)).unwrap();
        scene.write(&format!("{version}/y.lua"), content);
    }
    symlink("..1", scene.path("..data")).unwrap();
    scene.watch(&["", "..1"]).await;
    let path = scene.path("..data/y.lua");
    for (version, content) in [("..2", "two"), ("..3", "three")] {
        symlink(version, scene.path("..tmp")).unwrap();
        fs::rename(scene.path("..tmp"), scene.path("..data")).unwrap();
        scene.live(&path, content, &["", version]).await;
        scene.drain(&["", version]).await;
    }
    scene.write("..3/y.lua", "four");
    scene.changed().await;
}

#[tokio::test]
async fn a_file_that_is_deleted_and_made_again_is_reported() {
    let mut scene = Scene::new().await;
    fs::remove_file(scene.path("x.lua")).unwrap();
    scene.changed().await;
    scene.drain(&[""]).await;
    scene.write("x.lua", "new");
    scene.changed().await;
}

#[tokio::test]
async fn a_folder_that_is_deleted_and_made_again_is_watched_again() {
    let mut scene = Scene::new().await;
    let folders = ["a/b"];
    let path = scene.path("a/b/y.lua");
    fs::create_dir_all(scene.path("a/b")).unwrap();
    scene.watch(&folders).await;
    for round in 0..12 {
        fs::remove_dir_all(scene.path("a")).unwrap();
        if round % 2 == 0 {
            scene.changed().await;
            scene.rewatch(&folders);
        }
        fs::create_dir_all(scene.path("a/b")).unwrap();
        if round % 3 == 0 {
            scene.changed().await;
            scene.rewatch(&folders);
        }
        let content = format!("round {round}");
        fs::write(&path, &content).unwrap();
        scene.live(&path, &content, &folders).await;
        scene.drain(&folders).await;
        fs::write(&path, "and once more").unwrap();
        scene.changed().await;
        scene.rewatch(&folders);
    }
}

#[tokio::test]
async fn a_folder_that_is_swapped_by_renames_is_watched_again() {
    let mut scene = Scene::new().await;
    fs::create_dir(scene.path("a")).unwrap();
    fs::create_dir(scene.path("b")).unwrap();
    scene.watch(&["a"]).await;
    fs::rename(scene.path("a"), scene.path("old")).unwrap();
    fs::rename(scene.path("b"), scene.path("a")).unwrap();
    scene.changed().await;
    scene.watch(&["a"]).await;
    scene.write("old/y.lua", "in the folder that is gone");
    scene.quiet().await;
    scene.write("a/y.lua", "new");
    scene.changed().await;
}

#[tokio::test]
async fn reading_is_not_reported() {
    let mut scene = Scene::new().await;
    for _ in 0..10 {
        fs::read(scene.path("x.lua")).unwrap();
        fs::read_dir(scene.path("")).unwrap().for_each(drop);
        scene.rewatch(&[""]);
    }
    scene.quiet().await;
}

#[tokio::test]
async fn a_thousand_saves_are_few_reports_and_the_last_one_is_seen() {
    let mut scene = Scene::new().await;
    let path = scene.path("x.lua");
    let saves = async {
        for number in 0..1000 {
            fs::write(&path, number.to_string()).unwrap();
            tokio::task::yield_now().await;
        }
    };
    let reports = async {
        let mut reports = 0;
        while fs::read_to_string(&path).unwrap() != "999" || reports == 0 {
            scene.changed().await;
            reports += 1;
        }
        reports
    };
    let start = Instant::now();
    let ((), reports) = tokio::join!(saves, reports);
    let most = start.elapsed().as_millis() / super::PAUSE.as_millis() + 2;
    assert!(reports <= most, "{reports} reports in {:?}", start.elapsed());
}

#[tokio::test]
async fn a_call_that_is_given_up_loses_no_change() {
    let mut scene = Scene::new().await;
    scene.write("x.lua", "new");
    for _ in 0..20 {
        // Given up in the middle of settling, again and again.
        let early = timeout(Duration::from_micros(200), scene.watcher.changed()).await;
        if early.is_ok() {
            return;
        }
    }
    scene.changed().await;
}

#[tokio::test]
async fn what_is_no_longer_watched_is_not_reported() {
    let mut scene = Scene::new().await;
    fs::create_dir(scene.path("a")).unwrap();
    fs::create_dir(scene.path("b")).unwrap();
    scene.watch(&["a"]).await;
    scene.watch(&["b"]).await;
    scene.write("a/y.lua", "new");
    scene.quiet().await;
}

#[tokio::test]
async fn a_watcher_that_fails_polls_from_then_on() {
    let mut scene = Scene::new().await;
    let failure = notify::Error::new(notify::ErrorKind::MaxFilesWatch);
    scene.watcher.signal.take_in(Err(failure));
    scene.changed().await;
    assert_eq!(scene.watcher.mode(), Watch::Poll);
    let start = Instant::now();
    scene.changed().await;
    assert!(start.elapsed() >= super::POLL / 2, "{:?}", start.elapsed());
    scene.rewatch(&[""]);
    assert_eq!(scene.watcher.mode(), Watch::Poll);
}

#[tokio::test]
async fn polling_asks_twice_a_second_though_its_calls_are_given_up() {
    let mut watcher = Watcher::new(Watch::Poll);
    watcher.watch(&BTreeSet::new());
    watcher.changed().await;
    let start = Instant::now();
    for _ in 0..4 {
        let early = timeout(super::POLL / 5, watcher.changed()).await;
        assert!(early.is_err());
    }
    watcher.changed().await;
    assert!(start.elapsed() < 2 * super::POLL, "{:?}", start.elapsed());
}

#[tokio::test]
async fn nothing_is_reported_in_off_mode() {
    let mut watcher = Watcher::new(Watch::Off);
    let changed = timeout(2 * super::POLL, watcher.changed()).await;
    assert!(changed.is_err());
}
