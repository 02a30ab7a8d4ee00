"""The ledger: each row has a verdict and a measurement; readers find both."""

import json
import re

import folklore
import nbformat
import project
import pytest

BOOK = project.ROOT / "book"
HEAD = "| claim | Keras 2 | Keras 3 | measured |"
VERDICTS = {"true", "false", "half true", "depends", "not measured"}
NO_VERDICT = {"none", "not run"}  # Keras 2 was not asked
VERDICT = "true|false|half true|depends"
LINK = r"\[[^\]]+\]\(([\w.]+)(?:#([^)]+))?\)"

# What readers asked, and where the index sends them: the beginning of a row.
QUESTIONS = {
    "dropout layer or RNN argument?": "Dropout layer or `dropout=`",
    "where on the picture do the arguments act?": "Where on the picture",
    "Gal's or Semeniuta's?": "Is Keras's `recurrent_dropout` Gal's",
    "GATConv's dropout or feature dropout": "Are `GATConv`'s dropout",
    "per time step or one mask?": "One mask for all steps",
    "regularize only one gate": "Can I regularize only one gate?",
    "activation or recurrent_activation": "`activation` or",
    "return_sequences in stacks": "Why `return_sequences=True` in stacks?",
    "does GaussianDropout retain probability?": "Does `GaussianDropout`",
    "Dropout before or after an LSTM": "`Dropout` before or after an LSTM?",
    "noise_shape recipes": "How do I drop whole steps",
    "SpatialDropout1D: what is dropped?": "Does `SpatialDropout1D` drop",
    "four masks, one per gate?": "Four masks, one for each gate?",
    "cuDNN and recurrent_dropout": "Does `recurrent_dropout` work",
    "feature selection by dropout": "Is dropout a kind of feature selection?",
    "is ReLU in an LSTM fine?": "Is ReLU in an LSTM fine?",
    "embeddings before or after Dropout": "Take embeddings before or after",
    "dropout on one column only": "Can I drop one column only?",
    "a second, elapsed-time input": "Two inputs for an LSTM",
    "one mask for the whole mini-batch?": "Is one mask used for the whole",
    "what are units? stateful?": "What are `units`?",
    "dropout, regularization, batch normalization": "Dropout, regularization",
}


@pytest.fixture(scope="module")
def page():
    return nbformat.read(folklore.PAGE, as_version=4)


def markdown(cells):
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown")


@pytest.fixture(scope="module")
def rows(page):
    """Returns claim, Keras 2, Keras 3 and measurement of each row."""
    found = {}
    for table in markdown(page.cells).split(HEAD)[1:]:
        for line in table.strip().splitlines()[1:]:
            if not line.startswith("|"):
                break
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            number = int(re.match(r"\*\*(\d+)\*\* ", cells[0])[1])
            assert number not in found
            found[number] = cells
    return found


@pytest.fixture(scope="module")
def printed(page):
    """Returns the verdicts that cells print, on Keras 2 and on Keras 3."""
    found = {}
    for cell in page.cells:
        for output in cell.get("outputs", []):
            for line in output.get("text", "").splitlines():
                new = re.match(rf" ?(\d+) ({VERDICT}): ", line)
                old = re.match(rf"   Keras 2(?:, ({VERDICT}))?: ", line)
                if new:
                    number = int(new[1])
                    found[number] = ["none", new[2]]
                elif old:
                    found[number][0] = old[1] or found[number][1]
    return found


def slugs(name):
    """Returns the names by which a page's headings are linked."""
    path = BOOK / name
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join(
            "".join(c["source"]) for c in cells if c["cell_type"] == "markdown"
        )
    titles = re.findall(r"^#{1,3} (.+)$", text, re.M)
    words = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {word.strip().replace(" ", "-") for word in words}


def is_found(link):
    name, anchor = link
    return (BOOK / name).exists() and (not anchor or anchor in slugs(name))


def test_rows_are_numbered_in_order(rows):
    assert list(rows) == list(range(1, len(rows) + 1))


def test_every_row_has_a_verdict_and_its_source(rows):
    for number, (claim, keras_2, keras_3, _) in rows.items():
        assert keras_3 in VERDICTS, number
        assert keras_2 in VERDICTS | NO_VERDICT, number
        assert re.search(r"\(.*(?:[A-E]|docs|our \w+)\)$", claim), number


def test_every_verdict_is_printed_by_a_check_or_links_to_one(rows, printed):
    assert set(printed) <= set(rows)
    for number, (_, keras_2, keras_3, measured) in rows.items():
        links = re.findall(LINK, measured)
        assert all(map(is_found, links)), (number, links)
        if number in printed:
            assert printed[number] == [keras_2, keras_3], number
            assert links or measured == "above", number
        elif keras_3 == "not measured":
            assert keras_2 == "not run", number
        else:
            assert any(anchor for _, anchor in links), number
            assert keras_2 == "not run", number


def test_keras_2_ran_the_checks_of_this_page(page):
    (results,) = folklore.tagged(page, folklore.RESULTS)
    names = {}
    exec(results.source, names)
    assert names["CHECKS"] == folklore.digest(page), (
        "run: python tools/folklore.py"
    )
    assert names["KERAS_2"].startswith("tf_keras 2.")
    checks = "".join(c.source for c in folklore.tagged(page, folklore.CHECKS))
    settled = map(int, re.findall(r"settle\(\s*(\d+),", checks))
    assert sorted(names["OLD"]) == sorted(settled)


def test_every_letter_of_a_thread_is_explained(page, rows):
    text = markdown(page.cells)
    explained = set(re.findall(r"^\| ([A-Z]) \| ", text, re.M))
    sources = [re.search(r"\(([^()]*)\)$", row[0])[1] for row in rows.values()]
    used = {c for s in sources for c in re.findall(r"\b[A-Z]\b", s)}
    assert used == explained


@pytest.mark.parametrize("question", QUESTIONS)
def test_index_answers_the_question_and_links_to_a_section(question):
    index = (BOOK / "index.md").read_text("utf-8")
    table = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", index, re.M)
    start = QUESTIONS[question]
    found = [row for row in table if row[0].startswith(start)]
    assert len(found) == 1, start
    _, answer, target = found[0]
    assert answer
    links = re.findall(LINK, target)
    assert links and all(map(is_found, links))


def test_there_are_twenty_two_questions():
    assert len(QUESTIONS) == 22
