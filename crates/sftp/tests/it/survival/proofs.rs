//! What has to be shown of a file before a transfer goes on with it over another connection.

use rustle_sftp::ErrorKind;

use super::{Scene, cut, plain};
use crate::here::{Here, content};
use crate::resume::hashing;
use crate::support::Way;

#[tokio::test]
async fn what_the_server_confirmed_is_proved_by_its_hash_before_it_is_built_upon() {
    let bytes = content(8 << 20);
    let hashes = |there: &Here| hashing(&there.path("")).fault(cut(Way::PutAtomic, 1, 4 << 20));
    let scene = Scene::new(Way::PutAtomic, &bytes, hashes).await;
    assert_eq!(scene.transfer().await.unwrap().losses, 1);
    assert!(scene.target() == bytes);
    let asked = |text: &str| text.contains("rustle-sha256:");
    let record = scene.server.record();
    assert!(record.commands().iter().any(|command| asked(command.text())), "{record:#?}");
    scene.end().await;
}

/// The name that what is sent has by now.
fn name_of_part(scene: &Scene) -> String {
    let named = |name: &String| name.starts_with(".app");
    scene.there.names_now().into_iter().find(named).unwrap_or_else(|| "app".to_owned())
}

#[tokio::test]
async fn a_server_that_forgot_what_it_confirmed_is_found_out() {
    for (way, hashes) in [(Way::PutInPlace, true), (Way::PutAtomic, true), (Way::PutAtomic, false)] {
        let serving = |there: &Here| if hashes { hashing(&there.path("")) } else { plain(there) };
        let faulty = |there: &Here| serving(there).fault(cut(way, 1, 4 << 20));
        let scene = Scene::new(way, &content(8 << 20), faulty).await;
        let power_failure = || {
            let name = name_of_part(&scene);
            // As long as it was, and nothing in it.
            scene.there.file(&name, &vec![0; scene.there.read(&name).len()]);
        };
        let error = scene.moved_while(scene.transfer(), power_failure).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
        assert!(error.to_string().contains("confirmed is not there"), "{error}");
        assert!(error.hint().unwrap().contains(" bytes of the file"), "{:?}", error.hint());
        if way == Way::PutAtomic {
            assert_eq!(scene.target(), b"older");
            scene.sftp.settled().await;
            assert_eq!(scene.there.names(), ["app"]);
        }
        scene.end().await;
    }
}

#[tokio::test]
async fn another_file_that_has_the_name_meanwhile_is_left_alone() {
    for way in [Way::Get, Way::PutInPlace] {
        let scene =
            Scene::new(way, &content(8 << 20), |there| plain(there).fault(cut(way, 1, 4 << 20))).await;
        let others = vec![7; 5 << 20];
        let rename = || {
            std::fs::rename(scene.there.path("app"), scene.there.path("aside")).unwrap();
            scene.there.file("app", &others);
        };
        let moved = scene.moved_while(scene.transfer(), rename).await;
        assert_eq!(moved.unwrap_err().kind(), ErrorKind::Changed, "{way:?}");
        assert!(scene.there.read("app") == others, "{way:?}");
        scene.end().await;
    }
}
