use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

fn ingress(name: &str, percent: &str) -> String {
    format!(
        "apiVersion: networking.internal.knative.dev/v1alpha1\nkind: Ingress\nmetadata: \
         {{name: {name}}}\nspec:\n  rules:\n    - hosts: [{name}.example.com]\n      http:\n        \
         paths:\n          - splits:\n              - {{serviceName: a, serviceNamespace: default, \
         servicePort: 80, percent: {percent}}}\n---\n"
    )
}

struct Scene {
    directory: TempDir,
    folder: Folder,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path().to_owned());
        Self { directory, folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn look(&mut self) -> Change {
        self.folder.refresh(&BTreeSet::new(), &BTreeSet::new())
    }
}

fn applied(change: &Change) -> Vec<String> {
    change
        .applied
        .iter()
        .map(|object| object.key().name)
        .collect()
}

fn deleted(change: &Change) -> Vec<String> {
    change
        .deleted
        .iter()
        .map(|(_, key)| key.name.clone())
        .collect()
}

fn faults(change: &Change) -> Vec<String> {
    change.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn files_are_found_below_and_by_extension() {
    let mut scene = Scene::new();
    scene.write("a.yaml", ingress("a", "100"));
    scene.write("sub/b.yml", ingress("b", "100"));
    scene.write(
        "sub/deeper/c.JSON",
        "{apiVersion: v1, kind: Service, metadata: {name: c}}",
    );
    scene.write("notes.txt", "not a manifest");
    scene.write(".hidden.yaml", "{");
    scene.write(".git/x.yaml", "{");
    scene.write("a.yaml~", "{");
    let change = scene.look();
    assert_eq!(applied(&change), ["a", "b", "c"]);
    assert_eq!(faults(&change), [""; 0]);
    let again = scene.look();
    assert!(again.applied.is_empty() && again.deleted.is_empty());
}

#[test]
fn only_what_changed_is_applied() {
    let mut scene = Scene::new();
    scene.write("a.yaml", ingress("a", "100") + &ingress("b", "100"));
    scene.look();
    scene.write("a.yaml", ingress("a", "100") + &ingress("b", "99"));
    assert_eq!(applied(&scene.look()), ["b"]);
}

#[test]
fn a_broken_edit_keeps_what_was_read_last() {
    let mut scene = Scene::new();
    scene.write("a.yaml", ingress("a", "100") + &ingress("b", "100"));
    scene.look();
    for broken in [
        ingress("a", "100") + "apiVersion: [",
        ingress("a", "100") + &ingress("b", "ninety"),
        ingress("a", "100") + "kind: Ingress\n",
        "\u{0}".into(),
    ] {
        scene.write("a.yaml", broken);
        let change = scene.look();
        assert!(change.applied.is_empty() && change.deleted.is_empty());
        assert_eq!(change.faults.len(), 1, "{:?}", change.faults);
    }
    scene.write("a.yaml", ingress("a", "100"));
    let change = scene.look();
    assert_eq!(deleted(&change), ["b"]);
    assert!(change.faults.is_empty());
}

#[test]
fn a_neighbour_of_a_broken_object_is_taken_over() {
    let mut scene = Scene::new();
    scene.write("a.yaml", ingress("a", "100") + &ingress("b", "100"));
    scene.look();
    scene.write("a.yaml", ingress("a", "50") + &ingress("b", "ninety"));
    let change = scene.look();
    assert_eq!(applied(&change), ["a"]);
    assert!(change.deleted.is_empty());
}

#[test]
fn a_deleted_file_takes_its_objects_along() {
    let mut scene = Scene::new();
    scene.write("a.yaml", ingress("a", "100"));
    scene.write("b.yaml", ingress("b", "100"));
    scene.look();
    fs::remove_file(scene.path("a.yaml")).unwrap();
    assert_eq!(deleted(&scene.look()), ["a"]);
}

#[test]
fn a_folder_that_is_gone_takes_nothing_along() {
    let mut scene = Scene::new();
    scene.write("a.yaml", ingress("a", "100"));
    scene.look();
    let aside = scene.directory.path().with_extension("aside");
    fs::rename(scene.directory.path(), &aside).unwrap();
    let change = scene.look();
    fs::rename(&aside, scene.directory.path()).unwrap();
    assert!(change.deleted.is_empty());
    assert!(
        faults(&change)[0].contains("cannot be listed"),
        "{:?}",
        faults(&change)
    );
    assert!(scene.look().faults.is_empty());
}

#[test]
fn the_first_of_two_files_serves_an_object_and_the_second_is_named() {
    let mut scene = Scene::new();
    scene.write("b.yaml", ingress("a", "1"));
    assert_eq!(applied(&scene.look()), ["a"]);
    scene.write("a.yaml", ingress("a", "2"));
    let change = scene.look();
    assert_eq!(applied(&change), ["a"]);
    assert_eq!(
        faults(&change),
        [
            "b.yaml:1: ingress default/a: the same object as in a.yaml:1, which is served; this \
             one is left out, remove one of them"
        ]
    );
    fs::remove_file(scene.path("a.yaml")).unwrap();
    let change = scene.look();
    assert_eq!(applied(&change), ["a"]);
    assert!(change.deleted.is_empty() && change.faults.is_empty());
}

#[test]
fn a_file_too_large_is_not_read_and_keeps_what_it_had() {
    let mut scene = Scene::new();
    scene.write("a.yaml", ingress("a", "100"));
    scene.look();
    let size = usize::try_from(MAX_FILE_BYTES).unwrap() + 1;
    scene.write("a.yaml", vec![b'#'; size]);
    let change = scene.look();
    assert!(change.deleted.is_empty());
    assert_eq!(
        faults(&change),
        ["a.yaml: larger than the 8388608 bytes that are read; split the file"]
    );
}

#[test]
fn links_are_followed_once_and_loops_are_named() {
    let mut scene = Scene::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("b.yaml"), ingress("b", "100")).unwrap();
    scene.write("a.yaml", ingress("a", "100"));
    symlink(outside.path(), scene.path("linked")).unwrap();
    symlink(scene.directory.path(), scene.path("loop")).unwrap();
    symlink("nowhere.yaml", scene.path("dangling.yaml")).unwrap();
    symlink("self.yaml", scene.path("self.yaml")).unwrap();
    symlink("/dev/zero", scene.path("device.yaml")).unwrap();
    let change = scene.look();
    assert_eq!(applied(&change), ["a", "b"]);
    assert!(scene.folder.is_linked());
    let faults = faults(&change);
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert_eq!(faults[0], "dangling.yaml: a link that leads nowhere");
    assert_eq!(faults[1], "device.yaml: not a file; not read");
    assert_eq!(
        faults[2],
        "loop: a link to a folder that is read already; not followed"
    );
    assert!(
        faults[3].starts_with("self.yaml: cannot be read"),
        "{faults:?}"
    );
}

#[test]
fn a_file_being_written_is_left_as_it_was() {
    let mut scene = Scene::new();
    scene.write("a.yaml", ingress("a", "100"));
    scene.look();
    scene.write("a.yaml", "");
    let writing = BTreeSet::from([scene.path("a.yaml")]);
    let change = scene.folder.refresh(&BTreeSet::new(), &writing);
    assert!(change.deleted.is_empty());
    assert_eq!(deleted(&scene.look()), ["a"]);
}

#[test]
fn an_edit_of_equal_length_within_one_tick_of_the_clock_is_seen() {
    let mut scene = Scene::new();
    for percent in ["10", "20", "30", "40"] {
        scene.write("a.yaml", ingress("a", percent));
        assert_eq!(applied(&scene.look()), ["a"]);
    }
}
