//! The SQLite file is deleted, renamed or replaced under the service, which refuses writes to any file but the one at
//! the path.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Sent, Writer, assert_whole, is_ready, within};
use crate::support::{
    harness::{TestDatabase, rows},
    process::{Serving, program_on},
};

const SOON: Duration = Duration::from_secs(5);

/// A service that has written to its file.
struct Scene {
    storage: TestDatabase,
    file: PathBuf,
    server: Serving,
    writer: Writer,
}

impl Scene {
    async fn set() -> Self {
        Self::on(TestDatabase::sqlite()).await
    }

    async fn on(storage: TestDatabase) -> Self {
        let server = Serving::start(program_on(&storage, &["--answer-cache-mb", "0"]));
        let mut scene = Self {
            file: storage.url.strip_prefix("sqlite://").unwrap().into(),
            writer: Writer::new("ann"),
            server,
            storage,
        };
        for _ in 0..5 {
            assert_eq!(
                scene.writer.write_one(&scene.server).await,
                Sent::Acknowledged
            );
        }
        assert!(is_ready(&scene.server).await);
        scene
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    /// Makes a backup with SQLite.
    async fn backup(&self) -> PathBuf {
        let backup = self.beside(".backup");
        let sql = format!("VACUUM INTO '{}'", backup.display());
        rows(&self.storage.url, &sql).await;
        backup
    }

    /// Checks that every write is refused, and that the service is not ready.
    async fn assert_refuses(&mut self) {
        for _ in 0..20 {
            let sent = self.writer.write_one(&self.server).await;
            assert_eq!(
                sent,
                Sent::Refused,
                "a write was acknowledged, but is not in the file at the path"
            );
        }
        within(SOON, "it is not ready", async || {
            !is_ready(&self.server).await
        })
        .await;
        assert_eq!(self.writer.write_one(&self.server).await, Sent::Refused);
    }

    /// Checks after the file is back that every acknowledged write is in it, whether the service recovers by itself or
    /// not.
    async fn assert_true(&mut self) {
        for _ in 0..50 {
            self.writer.write_one(&self.server).await;
            self.writer.settle(&self.storage).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn restart(mut self) {
        self.server.stop().ok();
        self.writer.settle(&self.storage).await;
        self.server = Serving::on(&self.storage);
        self.writer.settle(&self.storage).await;
        within(SOON, "it is ready", async || is_ready(&self.server).await).await;
        assert_eq!(
            self.writer.write_one(&self.server).await,
            Sent::Acknowledged
        );
        self.writer.settle(&self.storage).await;
        assert_whole(&self.storage).await;
    }
}

/// Moves the database with its log and shared memory.
fn move_all(from: &Path, to: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let [from, to] = [from, to].map(|path| format!("{}{suffix}", path.display()));
        fs::rename(from, to).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted() {
    let mut scene = Scene::set().await;
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(scene.beside(suffix)).unwrap();
    }
    scene.assert_refuses().await;
    // The service creates no new file at the path.
    assert!(!scene.file.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_without_its_log() {
    let mut scene = Scene::set().await;
    fs::remove_file(&scene.file).unwrap();
    scene.assert_refuses().await;
    assert!(!scene.file.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renamed_away_and_back() {
    let mut scene = Scene::set().await;
    let away = scene.beside(".away");
    move_all(&scene.file, &away);
    scene.assert_refuses().await;
    move_all(&away, &scene.file);
    scene.assert_true().await;
    scene.restart().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_by_a_backup() {
    let mut scene = Scene::set().await;
    let backup = scene.backup().await;
    let restored = scene.writer.live.clone();
    for _ in 0..5 {
        assert_eq!(
            scene.writer.write_one(&scene.server).await,
            Sent::Acknowledged
        );
    }
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(scene.beside(suffix)).unwrap();
    }
    fs::rename(backup, &scene.file).unwrap();
    scene.assert_refuses().await;
    // The writes after the backup are gone with the replaced file.
    (scene.writer.live, scene.writer.pending) = (restored, None);
    scene.assert_true().await;
    scene.restart().await;
}

/// SQLite has the log beside the target of a link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_link_without_its_log() {
    let folder = tempfile::TempDir::new().unwrap();
    let real = folder.path().join("real.db");
    fs::write(&real, "").unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let storage = TestDatabase::at(format!("sqlite://{}", link.display()));
    let mut scene = Scene::on(storage).await;
    fs::remove_file(folder.path().join("real.db-wal")).unwrap();
    scene.assert_refuses().await;
}

/// A connection that was opened while another file was at the path is not reused after the right file returns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_while_another_file_is_there() {
    const LIST: &str = "{ personalConnectors { totalCount } }";
    let mut scene = Scene::set().await;
    let backup = scene.backup().await;
    let aside = scene.beside(".aside");
    for _ in 0..5 {
        scene.writer.write_one(&scene.server).await;
    }
    move_all(&scene.file, &aside);
    fs::copy(&backup, &scene.file).unwrap();
    let ask = || {
        scene
            .server
            .ask(&scene.writer.token, LIST, serde_json::json!({}))
    };
    futures_util::future::join_all((0..100).map(|_| ask())).await;
    move_all(&aside, &scene.file);
    within(SOON, "it is ready", async || is_ready(&scene.server).await).await;
    let answers = futures_util::future::join_all((0..100).map(|_| ask())).await;
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
    scene.restart().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_short() {
    let mut scene = Scene::set().await;
    // The log is copied to the file, so that there is something to cut.
    rows(&scene.storage.url, "PRAGMA wal_checkpoint(PASSIVE)").await;
    scene.writer.write_one(&scene.server).await;
    let file = fs::File::options().write(true).open(&scene.file).unwrap();
    file.set_len(8192).unwrap();
    scene.assert_refuses().await;
}
