"""What a gallery's folder yields: each picture once, and all else with the reason."""

import os
import socket
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from dwc.datasets.image_kinds import escape_name, unescape_name
from dwc.datasets.image_loading import HAS_HEIF
from dwc.errors import ImageError
from dwc.gallery.sources import FolderSource, open_source
from dwc.gallery.walker import NOT_A_FILE, GalleryFile, LeftOut, UnusedPattern, walk_folder
from tests.datasets.image_files import iso_header, saved, two_halves

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")


def walk(folder, *exclude):
    """The ids that are taken, and for each id that is left out its reason."""
    taken, left_out = [], {}
    for found in walk_folder(folder, exclude):
        if isinstance(found, LeftOut):
            left_out[found.id] = found.reason
        elif isinstance(found, GalleryFile):
            taken.append(found.id)
    return sorted(taken), left_out


def picture(path, color=(9, 9, 9), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), color).save(path, options.pop("format", "PNG"), **options)


@pytest.mark.parametrize("times", [2, 3])
def test_a_store_in_the_gallery_is_not_part_of_it(build, photos, times):
    for _ in range(times):
        store = build(photos, out=photos / "my.store")
    assert len(store) == 13
    assert store.manifest.left_out["own store"] == 1


def test_stores_caches_and_uploads_are_recognized_wherever_they_lie(
    build, photos, tmp_path, monkeypatch
):
    build(photos, out=photos / "deep" / "backup of the store")
    for name, variable in (("cache", "DWC_CACHE"), ("uploads", "GRADIO_TEMP_DIR")):
        monkeypatch.setenv(variable, str(photos / name))
        picture(photos / name / "sub" / "a.png")
    (photos / "foreign" / "previews").mkdir(parents=True)
    tag = "Signature: 8a477f597d28d172789f06886806bc55\n# a cache"
    (photos / "foreign" / "CACHEDIR.TAG").write_text(tag)
    picture(photos / "foreign" / "previews" / "a.png")
    taken, left_out = walk(photos)
    assert len(taken) == 13
    assert left_out == {
        "cache": "own store",
        "uploads": "own store",
        "deep/backup of the store": "own store",
        "foreign": "service folder",
    }


@pytest.mark.parametrize("name", ["old.zip", "shard-001.tar.gz", "b/c.TGZ", "d.rar"])
def test_archives_are_named_with_what_to_do(photos, name):
    (photos / name).parent.mkdir(exist_ok=True)
    (photos / name).write_bytes(b"PK\3\4" + bytes(60))
    [entry] = [entry for entry in walk_folder(photos) if isinstance(entry, LeftOut)]
    assert (entry.id, entry.reason) == (name, "kind not supported")
    assert "is an archive" in entry.message
    assert "Unpack it" in entry.message
    with pytest.raises(ImageError, match=r"is an archive.*Unpack it"):
        open_source(str(photos / name))


@pytest.mark.parametrize(
    ("name", "suffix", "message"),
    [
        ("shop.tar", None, "is a tar file beside pictures, which is not read with them. Unpack it"),
        ("deep/A.PARQUET", None, "is a Parquet file beside pictures"),
        ("shop.parquet", ".tar", "is a Parquet file beside tar files"),
        ("shop.tar", ".parquet", "is a tar file beside Parquet files"),
    ],
)
def test_tar_and_parquet_files_that_are_not_read_are_named(photos, name, suffix, message):
    """They were counted among what is not a picture."""
    (photos / name).write_bytes(bytes(1024))
    entries = list(walk_folder(photos, suffix=suffix))
    [entry] = [e for e in entries if isinstance(e, LeftOut) and e.reason != "not a picture"]
    assert (entry.id, entry.reason) == (name, "packed beside others")
    assert entry.message.startswith(f"{photos / name}: {message}")
    assert entry.message.endswith("as a gallery of its own.")
    excluded = walk_folder(photos, ["*.tar", "*.PARQUET", "*.parquet"], suffix=suffix)
    [entry] = [e for e in excluded if isinstance(e, LeftOut) and e.id == name]
    assert (entry.reason, entry.message) == ("excluded", None)


def test_a_cache_that_is_the_gallery_itself_is_walked(photos, monkeypatch):
    monkeypatch.setenv("DWC_CACHE", str(photos))
    assert len(walk(photos)[0]) == 13


@pytest.mark.parametrize(
    "folder",
    [
        "@eaDir", "#recycle", "#snapshot", "@Recycle", "@eaDir/a.jpg", "$RECYCLE.BIN", "lost+found",
        "System Volume Information", "__MACOSX", "Catalog Previews.lrdata",
    ],
)  # fmt: skip
def test_service_folders_are_left_out_and_counted(photos, folder):
    picture(photos / "deep" / folder / "SYNOPHOTO_THUMB_S.jpg", format="JPEG")
    taken, left_out = walk(photos)
    assert len(taken) == 13
    assert set(left_out.values()) == {"service folder"}


@pytest.mark.parametrize("folder", ["Thumbnails", "recycle", "snapshot", "cache", "previews"])
def test_folders_that_people_name_so_are_taken(photos, folder):
    picture(photos / folder / "a.png")
    assert f"{folder}/a.png" in walk(photos)[0]


def test_of_a_photo_library_the_originals_are_taken(photos):
    library = photos / "My.photoslibrary"
    for name in ("originals/0/a.png", "resources/derivatives/a.png", "database/b.png"):
        picture(library / name)
    taken, left_out = walk(photos)
    assert [id for id in taken if "library" in id] == ["My.photoslibrary/originals/0/a.png"]
    assert Counter(left_out.values()) == {"service folder": 2}


@pytest.mark.parametrize(
    "name",
    ["A.photoslibrary", "A.photolibrary", "A.aplibrary", "A.migratedphotolibrary",
     "A.migratedaplibrary"],
)  # fmt: skip
def test_a_photo_library_may_be_the_gallery_itself(tmp_path, name):
    library = tmp_path / name
    for file in ("Masters/0/a.png", "resources/derivatives/a.png", "Previews/a.png"):
        picture(library / file)
    expected = (["Masters/0/a.png"], dict.fromkeys(("resources", "Previews"), "service folder"))
    assert walk(library) == expected
    assert [item.id for item in open_source(str(library)).items()] == ["Masters/0/a.png"]
    picture(library / "resources" / "a.png")  # given by its own name, a folder is listed
    assert walk(library / "resources")[0] == ["a.png", "derivatives/a.png"]


@POSIX
def test_links_to_and_in_a_photo_library_lead_to_originals_only(photos, tmp_path):
    library = tmp_path / "My.photolibrary"
    picture(library / "Masters" / "a.png")
    picture(library / "Data.noindex" / "a.png")
    (library / "Data").symlink_to("Data.noindex")
    (photos / "library").symlink_to(library)
    (tmp_path / "link").symlink_to(library)
    taken, left_out = walk(photos)
    assert [id for id in taken if "library" in id] == ["library/Masters/a.png"]
    assert left_out == dict.fromkeys(("library/Data", "library/Data.noindex"), "service folder")
    assert walk(tmp_path / "link")[0] == ["Masters/a.png"]


def test_patterns_exclude_as_in_gitignore(photos):
    picture(photos / "drafts" / "a.png")
    picture(photos / "deep" / "drafts" / "b.png")
    picture(photos / "out" / "a.png")
    taken, left_out = walk(photos, "drafts/", "*.webp", "/out", "!out/a.png")
    assert taken == [f"p{n}.png" for n in range(10)]
    assert set(left_out.values()) == {"excluded"}
    assert {"drafts", "deep/drafts", "out", "deep/er/q0.webp"} <= set(left_out)
    with pytest.raises(ImageError, match=r"--exclude: .*as in \.gitignore"):
        FolderSource(photos, ["!"])
    with pytest.raises(ImageError, match="no pattern is before it"):
        FolderSource(photos, ["!out/a.png", "*.webp"])
    with pytest.raises(ImageError, match=r"--exclude: .*as in \.gitignore"):
        FolderSource(photos, ["[z-a].png"])


@pytest.fixture
def nested(tmp_path):
    for name in ("private/keep", "private/x", "private/s/keep", "a/private/q", "a/[b]", "c"):
        picture(tmp_path / "nested" / f"{name}.png")
    return tmp_path / "nested"


# As `git ls-files --others --exclude-standard` lists them.
@pytest.mark.parametrize(
    ("patterns", "taken"),
    [
        ("private/ !private/keep.png", "a/[b] c"),
        ("/private/* !private/keep.png", "a/[b] a/private/q c private/keep"),
        ("* !*/ !keep.png", "private/keep private/s/keep"),
        ("* !/private !keep.png", "private/keep"),
        ("/private/** !/private/**/ !keep.png", "a/[b] a/private/q c private/keep private/s/keep"),
        ("private/ !/private/ /private/* !private/keep.png", "a/[b] c private/keep"),
        ("*.png !/*.png", "c"),
        ("* !/a/ !\\[b].png", "a/[b]"),
        ("**/private/**", "a/[b] c"),
        ("[!c].png [^k]*.png", "private/keep private/s/keep"),
    ],
)
def test_the_last_pattern_that_matches_counts(nested, patterns, taken):
    found = [entry.id for entry in walk_folder(nested, patterns.split()) if is_file(entry)]
    assert sorted(found) == [f"{name}.png" for name in taken.split()]


def is_file(entry):
    return isinstance(entry, GalleryFile)


def unused(folder, *patterns):
    return {
        entry.pattern: entry.reason
        for entry in walk_folder(folder, patterns)
        if isinstance(entry, UnusedPattern)
    }


@pytest.mark.parametrize(
    ("patterns", "advice", "corrected"),
    [
        (
            "a/private/ !a/private/q.png",
            "Write '/a/private/*' in place of 'a/private/'.",
            "/a/private/* !a/private/q.png",
        ),
        (
            "/private !private/s/keep.png",
            "Write '/private/**', then '!/private/**/' in place of '/private'.",
            "/private/** !/private/**/ !private/s/keep.png",
        ),
        (
            "private/ !private/*.png",
            "Write '!/private/', then '/private/*' directly before it.",
            "private/ !/private/ /private/* !private/*.png",
        ),
        (
            "* !private/keep.png",
            "Write '!/private/', then '/private/*' directly before it.",
            "* !/private/ /private/* !private/keep.png",
        ),
        (
            "/private/ !keep.png",
            "write '/private/**', then '!/private/**/' in place of '/private/'.",
            "/private/** !/private/**/ !keep.png",
        ),
        ("*.png !./c.png", "Write !/c.png", "*.png !/c.png"),
        ("/private/* !C.png", "there is c.png", ""),
        ("private/ !c.png", "No pattern before it leaves out c.png. Put it after", ""),
        ("!c.png", "No pattern before it leaves out c.png. Put it after", "* !c.png"),
        ("private/ !private/nothing.png", "Nothing that the patterns before it leave out", ""),
    ],
)
def test_a_pattern_that_includes_nothing_again_is_named(nested, patterns, advice, corrected):
    patterns = patterns.split()
    first = [] if patterns[0][0] != "!" else ["*.gif"]
    reasons = unused(nested, *first, *patterns)
    assert advice in reasons[patterns[-1]]
    if corrected:
        assert unused(nested, *corrected.split()) == {}
        assert any(map(is_file, walk_folder(nested, corrected.split())))


def test_hidden_files_and_folders_are_counted(photos):
    picture(photos / ".hidden.png")
    picture(photos / ".thumbs" / "a.png")
    taken, left_out = walk(photos)
    assert len(taken) == 13
    assert left_out == {".hidden.png": "hidden", ".thumbs": "hidden"}


@pytest.mark.parametrize(
    "name",
    ["a", "photo.jpg_large", "a.jpg.bak", "a.mpo", "a.download", "A.JPG", "a.txt", "a.psd",
     "a.jxl", "a.RAW", "a.svg", "a.heic"],
)  # fmt: skip
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_known_content_is_read_whatever_its_suffix(tmp_path, name, format):
    (tmp_path / name).write_bytes(saved(two_halves(), format))
    assert walk(tmp_path) == ([name], {})
    [item] = FolderSource(tmp_path).items()
    assert item.open().size == (60, 40)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.jxl", b"anything", "JPEG XL"),
        ("a", b"\xff\x0a" + bytes(40), "JPEG XL"),
        ("a.CR2", b"anything", "RAW"),
        ("a.nef", b"MM\x00*" + bytes(40), "RAW"),
        ("a.psd", b"8BPS" + bytes(40), "Photoshop"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(40), "EPS"),
        ("a.dds", b"DDS " + bytes(60), "DDS"),
        ("a.svg", b"<svg/>", "SVG"),
        ("a.svg", b"", "SVG"),
        ("a.jxl", b"8BPS" + bytes(40), "Photoshop"),
    ],
)
def test_kinds_that_are_not_read_are_counted_with_what_to_do(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    [found] = walk_folder(tmp_path)
    assert (found.id, found.reason, found.kind) == (name, "kind not supported", kind)
    assert "JPEG" in found.message
    listing = FolderSource(tmp_path).list()
    assert listing.unsupported == {kind: 1}


@pytest.mark.skipif(HAS_HEIF, reason="pillow-heif is installed")
@pytest.mark.parametrize("name", ["IMG_0001.HEIC", "IMG_0002.heif", "IMG_0003", "a.hif"])
def test_heic_is_counted_and_named(tmp_path, name):
    (tmp_path / name).write_bytes(iso_header(b"heic", b"mif1"))
    [found] = walk_folder(tmp_path)
    assert found.kind == "HEIC"
    assert "pillow-heif" in found.message


@pytest.mark.skipif(not HAS_HEIF, reason="pillow-heif is not installed")
def test_heic_is_taken_where_it_can_be_read(tmp_path):
    two_halves((64, 64)).save(tmp_path / "IMG_0001.HEIC", "HEIF")
    (tmp_path / "IMG_0001.HEIC").rename(tmp_path / "IMG_0002")
    two_halves((64, 64)).save(tmp_path / "a.heic")
    assert walk(tmp_path) == (["IMG_0002", "a.heic"], {})


def test_what_is_no_picture_is_counted(photos):
    for name in ("notes.txt", "clip.mp4", "empty", "page.html"):
        (photos / name).write_bytes(b"" if name == "empty" else b"<html>nothing</html>")
    taken, left_out = walk(photos)
    assert len(taken) == 13
    assert set(left_out.values()) == {"not a picture"}
    assert len(left_out) == 4


def test_pictures_that_are_only_in_icloud_are_named(photos):
    """They were counted among what is hidden."""
    (photos / "deep" / ".IMG_4.JPG.icloud").write_bytes(b"bplist00")
    named = [".IMG_5.heic.icloud", ".Shoes.icloud", ".metadata.csv.icloud"]
    others = [".IMG_6.MOV.icloud", ".IMG_4.JPG", ".icloud"]
    for name in (*named, *others):
        (photos / name).write_bytes(b"bplist00")
    (photos / ".Folder.icloud").mkdir()
    entries = {e.id: e for e in walk_folder(photos) if isinstance(e, LeftOut)}
    away = {id for id, e in entries.items() if e.reason == "not downloaded from iCloud"}
    assert away == {*named, "deep/.IMG_4.JPG.icloud"}
    assert {id for id, e in entries.items() if e.reason == "hidden"} == {*others, ".Folder.icloud"}
    message = entries["deep/.IMG_4.JPG.icloud"].message
    assert message.startswith(f"{photos / 'deep' / 'IMG_4.JPG'}: is in iCloud and not downloaded")
    assert "Download Now" in message
    for pattern in ("*.JPG", "deep/IMG_4.JPG", "*.icloud"):
        _, left_out = walk(photos, pattern)
        assert left_out["deep/.IMG_4.JPG.icloud"] == "excluded"
    assert walk(photos, "Shoes/")[1][".Shoes.icloud"] == "excluded"


def test_of_tar_files_those_in_icloud_alone_are_named(tmp_path):
    for name in (".a.tar.icloud", ".b.jpg.icloud"):
        (tmp_path / name).write_bytes(b"bplist00")
    reasons = {entry.id: entry.reason for entry in walk_folder(tmp_path, suffix=".tar")}
    assert reasons == {".a.tar.icloud": "not downloaded from iCloud", ".b.jpg.icloud": "hidden"}


@pytest.mark.parametrize(
    "name",
    [
        "p0.png~", "p0.png.bak", "p0.png_original", "p0.png.ORIG",
        "p0.sync-conflict-20260101-101010-ABCDEFG.png",
    ],
)  # fmt: skip
def test_earlier_versions_of_a_picture_are_left_out(photos, name):
    """They were further pictures, before the picture itself in the results."""
    content = (photos / "p0.png").read_bytes()
    (photos / name).write_bytes(content)
    before = walk(photos)[0]
    assert walk(photos)[1][name] == "backup of another file"
    (photos / "p0.png").unlink()  # then the backup is all that is left
    assert set(before) - set(walk(photos)[0]) == {"p0.png"}
    assert name in walk(photos)[0]


@pytest.mark.parametrize("marker", ["edited", "Bearbeitet", "modifie\u0301", "ha editado"])
@pytest.mark.parametrize("sidecar", ["p0.png.json", "p0.png.supplemental-meta.json"])
def test_edited_copies_in_an_export_of_google_photos_are_left_out(photos, marker, sidecar):
    """Each edited picture was in the results twice."""
    edited = f"p0-{marker}.png"
    Image.new("RGB", (30, 20), (1, 2, 3)).save(photos / edited)
    before, _ = walk(photos)
    assert edited in before  # the name alone proves nothing
    (photos / sidecar).write_text('{"title": "p0.png"}')
    (photos / "metadata.json").write_text('{"title": "An album"}')
    taken, left_out = walk(photos)
    assert set(before) - set(taken) == {edited}
    assert left_out[edited] == "edited copy of another file"
    assert left_out[sidecar] == left_out["metadata.json"] == "not a picture"
    (photos / "p0.png").unlink()  # then the copy is all that is left
    assert edited in walk(photos)[0]


WINDOWS_SHORTCUT = bytes.fromhex("4c000000011402000000000000c00000") + bytes(60)
MACOS_ALIAS = b"book\0\0\0\0mark\0\0\0\0" + bytes(60)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("Dresses.lnk", WINDOWS_SHORTCUT, "Windows shortcut"),
        ("Dresses.LNK", WINDOWS_SHORTCUT, "Windows shortcut"),
        ("Shoes", MACOS_ALIAS, "macOS alias"),
        ("Shoes alias.psd", MACOS_ALIAS, "macOS alias"),
        ("shop.url", b"[InternetShortcut]\nURL=https://a.example/", "link to a web page"),
        ("shop.webloc", b"bplist00", "link to a web page"),
    ],
    ids=["lnk", "LNK", "alias", "alias-psd", "url", "webloc"],
)
def test_shortcuts_that_are_not_followed_are_named(photos, name, content, kind):
    """They were counted among what is not a picture."""
    (photos / name).write_bytes(content)
    [entry] = [entry for entry in walk_folder(photos) if isinstance(entry, LeftOut)]
    assert (entry.id, entry.reason) == (name, "shortcut not followed")
    assert entry.message == (
        f"{photos / name}: is a {kind}, which is not followed. Put what it leads to in its place, "
        "as a copy or a symbolic link."
    )
    assert walk(photos, name)[1] == {name: "excluded"}


@pytest.mark.parametrize(
    ("content", "kind"),
    [(WINDOWS_SHORTCUT, "Windows shortcut"), (MACOS_ALIAS, "macOS alias")],
    ids=["lnk", "alias"],
)
def test_a_shortcut_that_is_named_like_a_picture_is_called_one(tmp_path, content, kind):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=rf"a\.jpg: is a {kind}, not a picture\. Put what it"):
        FolderSource(tmp_path).item("a.jpg").open()


def test_a_file_that_only_has_a_shortcuts_suffix_is_no_picture(photos):
    (photos / "notes.lnk").write_bytes(b"no shortcut")
    assert walk(photos)[1] == {"notes.lnk": "not a picture"}


@POSIX
def test_pipes_and_sockets_are_not_waited_for(photos):
    os.mkfifo(photos / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(photos / "socket.png"))
        taken, left_out = walk(photos)
    assert len(taken) == 13
    assert left_out == dict.fromkeys(("pipe.jpg", "socket.png"), NOT_A_FILE)


@POSIX
@pytest.mark.parametrize("name", ["attributes.csv", "metadata.jsonl", "pack.tar", "b"])
def test_a_pipe_with_another_name_is_not_waited_for(photos, name):
    os.mkfifo(photos / name)
    listing = FolderSource(photos).list()
    assert listing.left_out[name].reason == NOT_A_FILE
    assert len(listing.items) == 13


@POSIX
def test_linked_folders_are_followed_once_and_circles_end(photos, tmp_path):
    picture(tmp_path / "far" / "a.png")
    picture(tmp_path / "far" / "inner" / "b.png")
    (tmp_path / "far" / "back").symlink_to(photos)
    (photos / "2024").symlink_to(tmp_path / "far")
    (photos / "again").symlink_to(tmp_path / "far")
    (photos / "deep" / "up").symlink_to(photos)
    (photos / "deep" / "self").symlink_to(photos / "deep" / "self")
    taken, left_out = walk(photos)
    assert len(taken) == 15
    assert {"2024/a.png", "2024/inner/b.png"} <= set(taken)
    assert left_out == {
        "2024/back": "linked twice",
        "again": "linked twice",
        "deep/up": "linked twice",
        "deep/self": "unreadable",
    }


@POSIX
def test_a_picture_with_several_names_is_one(photos, tmp_path):
    picture(tmp_path / "far.png")
    (photos / "a link.png").symlink_to(photos / "p1.png")
    os.link(photos / "p2.png", photos / "zz hard.png")
    (photos / "far 1.png").symlink_to(tmp_path / "far.png")
    (photos / "far 2.png").symlink_to(tmp_path / "far.png")
    (photos / "dangling.png").symlink_to(photos / "nothing.png")
    taken, left_out = walk(photos)
    assert len(taken) == 14
    assert {"p1.png", "p2.png", "far 1.png"} <= set(taken)
    assert left_out == {
        "a link.png": "linked twice",
        "zz hard.png": "linked twice",
        "far 2.png": "linked twice",
        "dangling.png": "unreadable",
    }


@contextmanager
def unprivileged():
    """Without the rights of root, whom permissions do not bind."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)
        for path in Path(name).rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)


@POSIX
@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_an_unreadable_folder_is_named_and_the_walk_goes_on(open_folder, mode):
    gallery = open_folder / "gallery"
    for name in ("a.png", "locked/b.png", "z/c.png"):
        picture(gallery / name)
    (gallery / "locked").chmod(mode)
    with unprivileged():
        found = list(walk_folder(gallery))
    (gallery / "locked").chmod(0o755)
    left_out = [one for one in found if isinstance(one, LeftOut)]
    assert sorted(one.id for one in found if one not in left_out) == ["a.png", "z/c.png"]
    assert [one.reason for one in left_out] == ["unreadable"]
    assert "locked" in left_out[0].message
    assert "Permission denied" in left_out[0].message


@POSIX
def test_a_link_into_a_locked_folder_is_named(open_folder):
    gallery, locked = open_folder / "gallery", open_folder / "locked"
    picture(gallery / "a.png")
    picture(locked / "b.png")
    (gallery / "link.png").symlink_to(locked / "b.png")
    locked.chmod(0o000)
    with unprivileged():
        taken, left_out = walk(gallery)
    assert taken == ["a.png"]
    assert left_out == {"link.png": "unreadable"}


@POSIX
def test_names_that_are_not_utf8_have_ids_that_lead_back(photos):
    names = [b"caf\xe9.png", b"caf\\xe9.png", b"back\\slash.png", "caf\xe9.png".encode()]
    names += [b"new\nline.png", b"\xff\xfe.png"]
    for name in names:
        with open(os.fsencode(photos) + b"/" + name, "wb") as file:
            Image.new("RGB", (9, 9)).save(file, "PNG")
    source = FolderSource(photos)
    odd = [item for item in source.items() if item.id not in {f"p{n}.png" for n in range(10)}]
    odd = [item for item in odd if not item.id.startswith("deep/")]
    assert len({item.id for item in odd}) == len(names)
    assert {os.path.basename(os.fsencode(item.path)) for item in odd} == set(names)
    for item in odd:
        item.id.encode("utf-8")
        assert os.fsencode(source.item(item.id).path) == os.fsencode(item.path)
        assert item.open().size == (9, 9)


@pytest.mark.parametrize("name", ["a.png", "a\\b", "a\\\\b", "\\xe9", "é", "\udce9", "\\\udce9\\"])
def test_an_escaped_name_gives_the_name_back(name):
    if sys.platform != "win32":
        assert unescape_name(escape_name(name)) == name
    escape_name(name).encode("utf-8")
