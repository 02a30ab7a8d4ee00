"""Every chapter follows the template, and its stored outputs are complete."""

import ast
import json
import re

import project
import pytest

ROOT = project.ROOT
NOTEBOOKS = project.notebooks()
# Measured: a chapter with eight figures is below half of this.
SIZE_LIMIT = 1_500_000

ENDING = [
    "What Keras does, what the paper says",
    "Take-aways",
    "Quiz",
    "Exercises",
    "Solutions",
    "Further reading",
]
PAPER_HOSTS = (
    "aclanthology.org",
    "arxiv.org",
    "doi.org",
    "jmlr.org",
    "openreview.net",
    "papers.nips.cc",
    "proceedings.mlr.press",
    "proceedings.neurips.cc",
)


class Chapter:
    """A notebook, with the views of it that the tests ask for."""

    def __init__(self, path):
        self.path = path
        self.name = path.relative_to(ROOT).with_suffix("").as_posix()
        self.notebook = json.loads(path.read_text("utf-8"))
        self.cells = self.notebook["cells"]
        for cell in self.cells:
            cell["source"] = "".join(cell["source"])
        self.code = [c for c in self.cells if c["cell_type"] == "code"]
        self.prose = "\n\n".join(
            c["source"] for c in self.cells if c["cell_type"] == "markdown"
        )
        self.headings = re.findall(r"^## (.+)$", self.prose, re.M)

    def section(self, heading):
        """Returns the cells of a section: its code, and its prose."""
        code, prose, inside = [], "", False
        for cell in self.cells:
            if cell["cell_type"] == "code":
                code += [cell] if inside else []
                continue
            for part in re.split(r"^(?=## )", cell["source"], flags=re.M):
                if part.startswith("## "):
                    inside = part.splitlines()[0] == f"## {heading}"
                prose += part if inside else ""
        return code, prose


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def chapter(request):
    return Chapter(request.param)


def tags(cell):
    return cell["metadata"].get("tags", [])


def test_table_of_contents_lists_every_page():
    pages = [
        path.relative_to(ROOT).with_suffix("").as_posix()
        for path in (ROOT / "book").glob("*.*")
        if path.suffix in (".md", ".ipynb")
    ]
    assert sorted(project.toc_files()) == sorted(pages)


def test_every_cell_was_run_in_order(chapter):
    counts = [cell["execution_count"] for cell in chapter.code]
    assert counts == list(range(1, len(counts) + 1)), "run: make notebooks"


def test_cell_ids_are_fixed(chapter):
    ids = [cell["id"] for cell in chapter.cells]
    assert ids == [f"c{n:02d}" for n in range(1, len(ids) + 1)], (
        "run: make notebooks"
    )


def test_metadata_does_not_change_from_run_to_run(chapter):
    assert sorted(chapter.notebook["metadata"]) == [
        "kernelspec",
        "language_info",
    ]
    assert not [c["id"] for c in chapter.code if "execution" in c["metadata"]]


def test_outputs_hold_no_stderr_and_no_error(chapter):
    for cell in chapter.code:
        for output in cell["outputs"]:
            assert output.get("name") != "stderr", (cell["id"], output["text"])
            if "raises-exception" not in tags(cell):
                assert output["output_type"] != "error", cell["id"]


def test_every_output_is_compared(chapter):
    for cell in chapter.code:
        assert "NBVAL" not in cell["source"], cell["id"]
        assert "nbval-skip" not in tags(cell), cell["id"]
        if "nbval-ignore-output" in tags(cell):
            assert "timing" in tags(cell), (
                f"{cell['id']}: only a cell tagged `timing` may be ignored"
            )


def test_first_cell_is_the_run_first_cell(chapter):
    cell = chapter.code[0]
    assert cell["source"] == project.first_cell(), (
        "run: python tools/address.py"
    )
    assert {"hide-input", "remove-output"} <= set(tags(cell))
    assert cell["outputs"] == []


def test_chapter_opens_as_the_template(chapter):
    first_code = chapter.cells.index(chapter.code[0])
    opening = "\n\n".join(c["source"] for c in chapter.cells[:first_code])
    places = [
        opening.find(text)
        for text in ("# ", "**Short answer", "{admonition} Before you start")
    ]
    assert places[0] == 0 and -1 not in places and places == sorted(places)
    for text in ("You will be able to", "You need", "Time"):
        assert text in opening, f"'Before you start' lacks: {text}"
    assert project.launch_line(chapter.name) in opening.splitlines(), (
        f"the opening lacks the line\n{project.launch_line(chapter.name)}"
    )


def test_chapter_ends_as_the_template(chapter):
    assert chapter.headings[-len(ENDING) :] == ENDING
    assert len(chapter.headings) > len(ENDING), "there is no section of its own"


def test_take_aways_are_one_to_five(chapter):
    _, prose = chapter.section("Take-aways")
    assert 1 <= len(re.findall(r"^[-*] ", prose, re.M)) <= 5


def test_quiz_has_three_questions_with_answers(chapter):
    _, prose = chapter.section("Quiz")
    assert prose.count("<details>") == prose.count("</details>") == 3
    assert prose.count("<summary>") == 3


def test_solutions_are_run_and_hidden(chapter):
    code, _ = chapter.section("Solutions")
    assert code, "no solution is executed"
    assert not [c["id"] for c in code if "hide-cell" not in tags(c)]


def test_keras_and_paper_stand_side_by_side(chapter):
    _, prose = chapter.section("What Keras does, what the paper says")
    assert re.search(r"^\|[\s:|-]+\|$", prose, re.M), "there is no table"


def test_markdown_reads_well_in_colab(chapter):
    roles = re.findall(
        r"\{(?:cite|numref|glue|doc|ref|term)[:\w]*\}`", chapter.prose
    )
    assert roles == [], "use links: Colab shows roles as raw text"
    assert "```{" not in chapter.prose, "use ::: fences"


def test_figures_have_their_alt_text(chapter):
    for cell in chapter.code:
        figures = [
            output["data"]
            for output in cell["outputs"]
            if "image/png" in output.get("data", {})
        ]
        if not figures:
            continue
        assert len(figures) == 1, f"{cell['id']}: {len(figures)} figures"
        alt = "".join(figures[0]["text/plain"])
        image = cell["metadata"].get("mystnb", {}).get("image", {})
        assert image.get("alt") == alt, f"{cell['id']}: run make notebooks"
        literals = {
            node.value
            for node in ast.walk(ast.parse(cell["source"]))
            if isinstance(node, ast.Constant)
        }
        assert alt in literals, f"{cell['id']}: alt is no literal of the cell"


def paper_addresses():
    """Returns the addresses that `references.bib` gives, in one form."""
    text = (ROOT / "book/references.bib").read_text("utf-8")
    found = set(re.findall(r"url = \{(.+?)\}", text))
    for prefix, pattern in (
        ("https://doi.org/", r"doi = \{(.+?)\}"),
        ("https://arxiv.org/abs/", r"arXiv:(\d{4}\.\d{4,5})"),
    ):
        found |= {prefix + number for number in re.findall(pattern, text)}
    return found


def test_linked_papers_stand_in_the_references(chapter):
    links = re.findall(r"https?://[^\s)>\"]+", chapter.prose)
    hosts = tuple(f"https://{host}/" for host in PAPER_HOSTS)
    papers = {link for link in links if link.startswith(hosts)}
    assert papers, "the chapter links no paper"
    assert papers - paper_addresses() == set(), "not in references.bib"


def test_notebook_is_small(chapter):
    size = chapter.path.stat().st_size
    assert size <= SIZE_LIMIT, f"{size} bytes: fewer or smaller figures"


def test_index_links_every_page():
    index = (ROOT / "book/index.md").read_text("utf-8")
    links = set(re.findall(r"\]\(([\w.-]+?)\.(?:ipynb|md)\)", index))
    pages = {name.removeprefix("book/") for name in project.toc_files()}
    assert links == pages - {"index"}


def test_every_public_name_is_on_the_api_page():
    tree = ast.parse((ROOT / "dropkit/__init__.py").read_text("utf-8"))
    names = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    )
    page = (ROOT / "book/api.md").read_text("utf-8")
    pattern = r"(?:^\.\. auto\w+:: (?:dropkit\.)?|`dropkit\.){}\b"
    missing = [n for n in names if not re.search(pattern.format(n), page, re.M)]
    assert missing == []
