import io
from dataclasses import replace
from urllib.parse import parse_qs, quote, urlencode

import pytest
from PIL import Image

from dwc.errors import ImageError, QueryError
from dwc.ui.handlers import find_opening
from dwc.ui.panels.examples import Example
from dwc.ui.request_parsing import (
    MAX_CHARACTERS,
    check_values,
    describe_ignored,
    has_link_settings,
    parse_switch,
    read_link,
    run_search,
    with_link_settings,
    write_link,
)
from dwc.ui.state import SearchRequest


def upload(folder, content=None, name="photo.png"):
    if content is None:
        buffer = io.BytesIO()
        Image.new("RGB", (20, 10), "red").save(buffer, "PNG")
        content = buffer.getvalue()
    file = folder / name
    file.write_bytes(content)
    return {"path": str(file), "meta": {"_type": "gradio.FileData"}}


def test_an_upload_is_decoded_and_asked(searcher, pictures, uploads):
    run_search(searcher, pictures, upload(uploads), "  blue ", k=3, shift="-inf")
    asked = searcher.asked
    assert (asked["image"].size, asked["reference_id"]) == ((20, 10), None)
    assert (asked["text"], asked["k"], asked["shift"]) == ("blue", 3, float("-inf"))


def test_a_gallery_picture_is_asked_by_its_id(searcher, pictures):
    run_search(searcher, pictures, {"path": str(pictures.thumbnail("p-0002"))}, "blue")
    assert (searcher.asked["image"], searcher.asked["reference_id"]) == (None, "p-0002")


def test_either_alone_is_a_question_and_neither_is_not(searcher, pictures, uploads):
    assert run_search(searcher, pictures, None, "blue").weights["clip"].image == 0
    assert run_search(searcher, pictures, upload(uploads), None).weights["clip"].image == 1
    with pytest.raises(QueryError, match="nothing to search"):
        run_search(searcher, pictures, None, "  ")


def test_a_thumbnail_of_a_former_gallery_is_not_called_an_upload(searcher, pictures, uploads):
    path = "/caches/galleries/former-0123/thumbnails/ab/ab0123456789.webp"
    with pytest.raises(ImageError, match=r"no longer has.*Load the page again"):
        run_search(searcher, pictures, {"path": path}, "blue")
    named = {"path": path, "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(ImageError, match="no longer has"):
        check_values([named], pictures.folder)


def test_files_that_were_not_uploaded_are_not_read(searcher, pictures, uploads, tmp_path_factory):
    elsewhere = upload(tmp_path_factory.mktemp("secret"))
    with pytest.raises(ImageError, match="not uploaded here"):
        run_search(searcher, pictures, elsewhere, "")
    inside = {"path": f"{uploads}/../{elsewhere['path']}"}
    with pytest.raises(ImageError, match="not uploaded here"):
        run_search(searcher, pictures, inside, "")
    link = uploads / "link.png"
    link.symlink_to(elsewhere["path"])
    with pytest.raises(ImageError, match="not uploaded here"):
        run_search(searcher, pictures, {"path": str(link)}, "")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "is empty"), (b"hello", "not a picture"), (b"\x89PNG\r\n\x1a\n" + b"0" * 40, "picture")],
)
def test_a_broken_picture_is_a_complaint_without_its_path(
    searcher, pictures, uploads, content, complaint
):
    with pytest.raises(ImageError, match=complaint) as raised:
        run_search(searcher, pictures, upload(uploads, content), "")
    assert str(uploads) not in str(raised.value)
    assert str(raised.value).startswith("The picture ")


def test_a_picture_that_is_gone_or_did_not_arrive(searcher, pictures, uploads):
    with pytest.raises(ImageError, match="no longer here"):
        run_search(searcher, pictures, {"path": str(uploads / "gone.png")}, "")
    with pytest.raises(ImageError, match="did not arrive"):
        run_search(searcher, pictures, {"path": None}, "")


@pytest.mark.parametrize("k", [0, 201, 2.5, "many", None, True, float("nan"), float("inf")])
def test_k_has_limits(searcher, pictures, k):
    with pytest.raises(QueryError, match=r"\bk\b"):
        run_search(searcher, pictures, None, "blue", k=k)


@pytest.mark.parametrize("shift", ["much", None, True, float("nan"), []])
def test_shift_is_a_number(searcher, pictures, shift):
    with pytest.raises(QueryError, match="shift"):
        run_search(searcher, pictures, None, "blue", shift=shift)


@pytest.mark.parametrize("text", [5, ["red"], {"a": 1}, True, ["red"] * 1000])
def test_text_is_a_string(searcher, pictures, text):
    with pytest.raises(QueryError, match=r"text is .*; expected a string\. Send") as raised:
        run_search(searcher, pictures, None, text)
    assert len(str(raised.value)) < 200


def test_a_reference_that_is_not_a_file_did_not_arrive(searcher, pictures):
    with pytest.raises(ImageError, match="did not arrive"):
        run_search(searcher, pictures, "photo.png", "blue")


@pytest.mark.parametrize(
    ("value", "is_on"),
    [
        (True, True), (1, True), (1.0, True), ("true", True), ("True", True),
        (False, False), (0, False), ("false", False),
    ],
)  # fmt: skip
def test_a_switch_has_several_forms(value, is_on):
    assert parse_switch(value, "fold") is is_on


@pytest.mark.parametrize("fold", ["yes", "", 2, None, [], float("nan")])
def test_other_values_of_fold_are_refused(searcher, pictures, fold):
    with pytest.raises(QueryError, match=r"fold is .*; expected true or false"):
        run_search(searcher, pictures, None, "blue", fold=fold)


@pytest.mark.parametrize("separator", ["&", "&amp;"])
def test_a_link_from_the_source_of_a_page_is_read(models, pictures, separator):
    link = separator.join(["?ref=p-0002", "text=red", "shift=2"])
    request, message = read_link(link, models, pictures)
    assert (request.reference_id, request.words, request.shift) == ("p-0002", "red", 2.0)
    assert message == ""


@pytest.mark.parametrize("times", [2, 3])
def test_a_link_that_was_encoded_again_is_decoded(models, pictures, times):
    first = SearchRequest("red dress, 50% off", "p-0002", model=models.default, shift=-2.0)
    values = parse_qs(write_link(first))
    for _ in range(times - 1):
        values = {name: [quote(value)] for name, [value] in values.items()}
    link = urlencode({name: value for name, [value] in values.items()})
    request, message = read_link(link, models, pictures)
    assert (message, replace(request, content=None)) == ("", first)
    whole = quote(write_link(first), safe="")
    request, message = read_link(whole, models, pictures)
    assert (message, replace(request, content=None)) == ("", first)
    assert describe_ignored(whole) == ""


def test_words_of_a_link_with_percent_signs_stay(models, pictures):
    for words in ("50%25 off", "100%cashmere", "50% off", "black+white"):
        request, _ = read_link(write_link(SearchRequest(words, model="")), models, pictures)
        assert request.words == words


def test_a_picture_with_an_encoded_name_is_found_first_as_it_is_written(
    models, pictures, monkeypatch
):
    monkeypatch.setattr(pictures, "ids", ["a%20b", "a b"])
    for id in pictures.ids:
        Image.new("RGB", (8, 8), "red").save(pictures.thumbnail(id))
    assert read_link("ref=a%2520b", models, pictures)[0].reference_id == "a%20b"
    monkeypatch.setattr(pictures, "ids", ["other", "a b"])
    assert read_link("ref=a%2520b", models, pictures)[0].reference_id == "a b"


def test_the_settings_of_a_link_are_those_of_another_search_too(models, pictures):
    """A link with a shift or a model alone showed the page's own opening, without a word."""
    opening = SearchRequest("blue", "p-0002", model=models.default, shift=1.0)
    request, message = with_link_settings(opening, {"shift": "-2"}, models, pictures)
    assert (request, message) == (replace(opening, shift=-2.0), "")
    assert with_link_settings(opening, {}, models, pictures) == (opening, "")
    for wrong in ({"shift": "much"}, {"model": "none"}):
        request, message = with_link_settings(opening, wrong, models, pictures)
        assert request == opening
        assert message.startswith("In the link, ")
    assert has_link_settings({"model": "x"})
    assert has_link_settings({"shift": "0"})
    assert not has_link_settings({"shift": "", "text": "blue"})


def test_names_in_a_link_may_have_another_case_or_be_the_interface_for_programs(models, pictures):
    link = "?reference_id=p-0002&TEXT=red&Shift=2"
    request, message = read_link(link, models, pictures)
    assert (request.reference_id, request.words, request.shift) == ("p-0002", "red", 2.0)
    assert (message, describe_ignored(link)) == ("", "")
    _, message = read_link("?text=red&Text=blue", models, pictures)
    assert "gives text more than once" in message


def test_what_others_add_to_a_link_is_no_fault():
    added = (
        "__theme", "__sign", "view", "logs", "deep_link", "authuser", "utm_source", "UTM_Medium",
        "fbclid", "gclid", "msclkid", "mc_cid", "_ga", "_hsenc", "igshid", "ref_src",
    )  # fmt: skip
    assert describe_ignored("?" + "&".join(f"{name}=1" for name in added) + "&text=red") == ""
    assert describe_ignored("?text=red&filters=") == ""  # nothing is lost
    assert "'white shirt'" in describe_ignored("?text=black%20&%20white%20shirt")
    assert "'white shirt'" in describe_ignored("?text=black & white shirt")
    assert "'striped'" in describe_ignored("text=red&striped")
    assert "'reference', 'fold'" in describe_ignored("reference=a&amp;fold=1&fold=0")
    many = describe_ignored("&".join(f"name{number}=1" for number in range(1007)))
    assert "'name4', 1,002 more. A link can have ref, text, shift, model and filter." in many
    assert len(describe_ignored(f"{'x' * 5000}=1")) < 300


def test_an_entity_in_the_text_of_a_link_stays(models, pictures):
    link = write_link(SearchRequest("black &amp; white", "p-0002", model="first"))
    request, _ = read_link(link, models, pictures)
    assert request.words == "black &amp; white"


def test_text_has_a_limit(searcher, pictures):
    run_search(searcher, pictures, None, "a" * MAX_CHARACTERS)
    with pytest.raises(QueryError, match="1,001 characters"):
        run_search(searcher, pictures, None, "a" * (MAX_CHARACTERS + 1))


def test_the_page_opens_with_the_first_example_that_has_an_answer(models, pictures):
    unanswerable, answerable = Example("p-0001", "blue " * 80), Example("p-0002", "blue")
    opening = find_opening(models, pictures, [unanswerable, answerable])
    assert (opening.request.reference_id, opening.request.words) == ("p-0002", "blue")
    assert find_opening(models, pictures, [unanswerable]) is None
