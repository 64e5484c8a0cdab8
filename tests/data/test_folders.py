"""`ImageFolder`: a folder for each class, whatever lies in it."""

import os

import pytest
from PIL import Image, features

from nasopt.data.folders import ImageFolder
from nasopt.errors import DataError
from tests.data.files import PIXELS, complaint, one_image


def test_a_folder_is_read_in_the_order_of_names_and_without_hidden_files(tmp_path):
    for grey, name in enumerate(("cat/2.png", "cat/10.png", "ant/1.png", "bee/x.gif", "bee/y.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4), grey).save(tmp_path / name)
    for left in (".DS_Store", "._1.png", "Thumbs.db", "desktop.ini"):
        (tmp_path / "ant" / left).write_bytes(b"left by a file manager")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "README").write_text("not an image, not a class")
    folder = ImageFolder(tmp_path, 4)
    assert folder.class_names() == ("ant", "bee", "cat")
    raw = folder.read()
    assert raw.images[:, 0, 0, 0].tolist() == [2, 3, 4, 1, 0]  # "10.png" comes before "2.png"
    assert raw.labels.tolist() == [0, 1, 1, 2, 2]
    assert raw.images.is_contiguous()
    assert raw.test is None


def test_a_hidden_folder_is_no_class(tmp_path):
    for name in ("ant", "bee", ".ipynb_checkpoints"):
        (tmp_path / name).mkdir()
    assert ImageFolder(tmp_path, 4).class_names() == ("ant", "bee")


def test_a_missing_image_folder_is_named(tmp_path):
    with pytest.raises(DataError) as raised:
        ImageFolder(tmp_path / "nowhere", 4).read()
    assert str(raised.value) == (
        f"image_folder.path={tmp_path}/nowhere: no such folder; give an existing one"
    )


@pytest.mark.parametrize("classes", [[], ["ant"]])
def test_a_folder_without_two_classes_is_refused(tmp_path, classes):
    for name in classes:
        (tmp_path / name).mkdir()
    with pytest.raises(DataError) as raised:
        ImageFolder(tmp_path, 4).class_names()
    assert str(raised.value) == (
        f"image_folder.path={tmp_path}: {len(classes)} sub-folders; "
        "give it one for each of two or more classes"
    )


def test_a_class_without_images_is_named(tmp_path):
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "ant" / "1.png")
    (tmp_path / "bee" / ".hidden").touch()
    with pytest.raises(DataError) as raised:
        ImageFolder(tmp_path, 4).read()
    assert str(raised.value) == f"{tmp_path}/bee: no images; add some or remove the folder"


def test_files_that_are_no_images_are_named(tmp_path):
    one_image(tmp_path, Image.new("L", (4, 4)))
    (tmp_path / "b" / "notes.txt").write_text("notes about the images")
    with pytest.raises(DataError) as raised:
        ImageFolder(tmp_path, 4).read()
    assert str(raised.value).startswith(f"{tmp_path}/b/notes.txt: not an image of PNG, JPEG, ")
    assert str(raised.value).endswith("; convert it to PNG, say, or remove it from the folder")
    (tmp_path / "b" / "zero.jpg").touch()
    with pytest.raises(DataError) as raised:
        ImageFolder(tmp_path, 4).read()
    assert str(raised.value).endswith(f"; so it is with 1 other file: {tmp_path}/b/zero.jpg")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "avif"])
def test_a_damaged_image_is_named_wherever_the_damage_is(tmp_path, suffix):
    if suffix in ("webp", "avif") and not features.check(suffix):
        pytest.skip(f"Pillow has been built without {suffix}")
    one_image(tmp_path, Image.fromarray(PIXELS), f"image.{suffix}")
    file = tmp_path / "a" / f"image.{suffix}"
    content, named = file.read_bytes(), 0
    step = max(1, len(content) // 40)
    cut = [content[:place] for place in range(0, len(content), step)]
    overwritten = [
        content[:place] + b"\xff" * 8 + content[place + 8 :]
        for place in range(0, len(content), step)
    ]
    for damaged in cut + overwritten:
        file.write_bytes(damaged)
        if message := complaint(ImageFolder(tmp_path, 4).read):  # else colours alone are others
            assert message.startswith(f"{file}: ")
            assert message.endswith(("remove it", "remove it from the folder"))
            named += 1
    assert named > len(cut) // 2


def test_a_truncated_photograph_is_damaged(tmp_path):
    one_image(tmp_path, Image.fromarray(PIXELS), "image.jpg")
    file = tmp_path / "a" / "image.jpg"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"image.jpg: damaged image \(.*truncated.*\); replace or"):
        ImageFolder(tmp_path, 4).read()


def two_classes(folder):
    for name in ("ant/1.png", "ant/2.png", "bee/1.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4), 100).save(folder / name)
    return folder


def test_a_folder_within_a_class_is_named(tmp_path):
    inner = two_classes(tmp_path) / "ant" / "second batch"
    inner.mkdir()
    message = complaint(ImageFolder(tmp_path, 4).read)
    assert message.startswith(
        f"{inner}: a folder within a class; move its pictures into {tmp_path}"
    )
    inner.rename(tmp_path / "ant" / ".second batch")  # hidden: left out on purpose
    assert len(ImageFolder(tmp_path, 4).files()) == 3


@pytest.mark.parametrize("name", ["ant/3.png", "cat"])
def test_a_link_to_what_is_not_there_is_named_with_its_target(tmp_path, name):
    link = two_classes(tmp_path) / name
    link.symlink_to(".git/annex/objects/x.png")
    message = complaint(ImageFolder(tmp_path, 4).digest)
    assert message.startswith(f"{link}: a link to .git/annex/objects/x.png, which is not there; ")
    assert "git annex get" in message


def test_links_to_pictures_and_to_folders_of_them_are_followed(tmp_path):
    two_classes(tmp_path)
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "ant").symlink_to(tmp_path / "ant")
    (folder / "bee").mkdir()
    (folder / "bee" / "b.png").symlink_to(tmp_path / "bee" / "1.png")
    assert ImageFolder(folder, 4).read().labels.tolist() == [0, 0, 1]


def test_a_pipe_among_pictures_is_named_and_not_waited_for(tmp_path):
    pipe = two_classes(tmp_path) / "ant" / "pipe.png"
    os.mkfifo(pipe)
    assert complaint(ImageFolder(tmp_path, 4).read) == (
        f"{pipe}: not a file; remove it from the folder"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("name", ["ant", "ant/1.png"])
def test_what_must_not_be_read_is_named(tmp_path, name):
    (two_classes(tmp_path) / name).chmod(0)
    message = complaint(ImageFolder(tmp_path, 4).digest)
    (tmp_path / name).chmod(0o700)
    assert message.startswith(f"{tmp_path / name}: cannot be read (Permission denied); allow")


def test_names_that_are_no_utf_8_are_read_and_spelled_so_that_they_can_be_stored(tmp_path):
    two_classes(tmp_path)
    os.rename(os.fsencode(tmp_path) + b"/bee", os.fsencode(tmp_path) + b"/b\xe9\xe8")
    os.rename(os.fsencode(tmp_path) + b"/ant/1.png", os.fsencode(tmp_path) + b"/ant/caf\xe9.png")
    folder = ImageFolder(tmp_path, 4)
    assert folder.class_names() == ("ant", "b\\xe9\\xe8")
    assert folder.read().labels.tolist() == [0, 0, 1]
    before = folder.digest()
    os.rename(os.fsencode(tmp_path) + b"/b\xe9\xe8", os.fsencode(tmp_path) + b"/b\xe9\xe9")
    assert folder.digest() != before


def test_the_digest_of_a_folder_is_what_it_was_in_earlier_versions(tmp_path):
    for name in ("ant/1.png", "ant/grün.jpg", "bee/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    assert ImageFolder(tmp_path, 4).digest() == "ae8ed39f3ba437482a4a0d1d28e00fef"


def test_the_digest_of_a_folder_follows_its_content_its_names_and_the_size(tmp_path):
    one_image(tmp_path, Image.fromarray(PIXELS))
    image, renamed = tmp_path / "a" / "image.png", tmp_path / "a" / "renamed.png"
    changes = (
        lambda: Image.fromarray(PIXELS[::-1]).save(image),
        lambda: image.rename(renamed),
        lambda: Image.new("L", (4, 4)).save(tmp_path / "a" / "another.png"),
        lambda: renamed.rename(tmp_path / "b" / "renamed.png"),
        lambda: (tmp_path / "a").rename(tmp_path / "ant"),
    )
    digests = [ImageFolder(tmp_path, size).digest() for size in (4, 5)]
    for change in changes:
        change()
        digests.append(ImageFolder(tmp_path, 4).digest())
    assert len(set(digests)) == len(digests)


def test_the_digest_of_a_folder_is_the_same_elsewhere(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    one_image(folder, Image.fromarray(PIXELS))
    before = ImageFolder(folder, 4).digest()
    (folder / "a" / ".DS_Store").touch()
    assert ImageFolder(folder.rename(tmp_path / "there"), 4).digest() == before


def split_folders(folder, *names):
    """Empty files of these names, in folders."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return ImageFolder(folder, 4)


def test_classes_of_splits_are_told_by_their_names_whatever_the_case(tmp_path):
    folder = split_folders(
        tmp_path, "train/Ant/1.JPG", "train/bee/1.jpg", "test/BEE/2.jpg", "test/ant/3.jpg"
    )
    assert folder.class_names() == ("Ant", "bee")
    assert folder.listing() == (
        [("train/Ant/1.JPG", 0), ("train/bee/1.jpg", 1)],
        [("test/ant/3.jpg", 0), ("test/BEE/2.jpg", 1)],
        None,
    )


def test_classes_that_differ_by_case_alone_are_two_where_each_split_has_both(tmp_path):
    names = [f"{split}/{name}/1.jpg" for split in ("train", "val") for name in ("ant", "Ant")]
    listing = split_folders(tmp_path, *names).listing()
    assert listing.validation == [("val/Ant/1.jpg", 0), ("val/ant/1.jpg", 1)]


SPLIT = ("train/ant/1.jpg", "train/bee/1.jpg", "val/ant/1.jpg", "val/bee/1.jpg")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            (*SPLIT, "test/ant/1.jpg"),
            "{}/test: class 'bee' of train is missing; add a folder of its pictures, or remove it "
            "from train",
        ),
        (
            (*SPLIT, "val/cat/1.jpg"),
            "{}/val/cat: class 'cat' is not in train; add it there, or remove it",
        ),
        (
            (*SPLIT, "test/1.jpg", "test/2.jpg"),
            "{}/test: no class in it; put its pictures into folders of classes as those in train, "
            "or move it elsewhere",
        ),
        (
            (*SPLIT, "Valid/ant/1.jpg"),
            "{}/Valid, val: two validation splits; leave one of them here",
        ),
        (SPLIT[2:], "{}: nothing but val in it; give {}/val"),
        (
            (*SPLIT[2:], "test/ant/1.jpg"),
            "{}/test: no train beside it; add that, with the same classes",
        ),
        (SPLIT[:2], "{}: nothing but train in it; give {}/train"),
        ((*SPLIT, "more/1.jpg"), "{}/more: beside the splits train and val; move it elsewhere"),
        (
            ("train/1.jpg", "test/ant/1.jpg"),
            "image_folder.path={}/train: 0 sub-folders; give it one for each of two or more "
            "classes",
        ),
        ((*SPLIT, "val/ant/x/1.jpg"), "{}/val/ant/x: a folder within a class; move its pictures "),
    ],
)
def test_what_is_wrong_with_folders_of_splits_is_one_line(tmp_path, names, message):
    found = complaint(lambda: split_folders(tmp_path, *names).listing())
    assert found.startswith(message.replace("{}", str(tmp_path)))
    assert "\n" not in found


def test_a_class_that_is_called_train_may_stand_among_others(tmp_path):
    folder = split_folders(tmp_path, "train/1.jpg", "bus/1.jpg", "test/1.jpg")
    assert folder.class_names() == ("bus", "test", "train")
    inner = tmp_path / "train" / "inner"
    inner.mkdir()
    (tmp_path / "test" / "1.jpg").unlink()
    (tmp_path / "test").rmdir()
    assert complaint(folder.files).startswith(f"{inner}: a folder within a class; move ")


def test_the_digest_of_splits_tells_them_apart(tmp_path):
    split_folders(tmp_path, *SPLIT)
    before = ImageFolder(tmp_path, 4).digest()
    (tmp_path / "val").rename(tmp_path / "test")
    assert ImageFolder(tmp_path, 4).digest() != before
