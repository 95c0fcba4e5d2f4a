"""Tables of four kinds, and running text, become the same figures."""

import pytest

from tao_ops.rewards.grounding.figures import Document, parse
from tao_ops.rewards.grounding.quantities import Kind

ROWS = (
    ("(in millions)", "2019", "2018"),
    ("Sales", "$1,250.5", "$1,100.2"),
    ("Costs", "(980.1)", "(870.3)"),
    ("Earnings per share", "1.27", "1.05"),
    ("Margin (%)", "21.6", "20.9"),
)


def _document(text: str) -> Document:
    document = parse(text, "", 2000)
    assert document is not None
    return document


def _values(document: Document) -> list[tuple[float, float, int]]:
    return [(f.quantity.value, f.scale, f.time) for f in document.figures if f.quantity.kind is Kind.VALUE]


TEXTS = {
    "tabs": "\n".join("\t".join(row) for row in ROWS),
    "markdown": "\n".join(
        [f"| {' | '.join(ROWS[0])} |", "| --- | ---: | --- |", *(f"|{'|'.join(r)}|" for r in ROWS[1:])]
    ),
    "commas": "\n".join(",".join(f'"{cell}"' if "," in cell else cell for cell in row) for row in ROWS),
    "gaps": "\n".join(f"{row[0]:<24}{row[1]:>12}{row[2]:>14}" for row in ROWS),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_table_gives_each_number_its_scale_and_year(kind: str) -> None:
    assert _values(_document(f"Some words.\n{TEXTS[kind]}\nMore words.")) == [
        (1250.5, 1e6, 2019), (1100.2, 1e6, 2018), (-980.1, 1e6, 2019), (-870.3, 1e6, 2018),
        (1.27, 1.0, 2019), (1.05, 1.0, 2018), (21.6, 1.0, 2019), (20.9, 1.0, 2018),
    ]  # fmt: skip


def test_rows_and_columns_keep_their_words() -> None:
    sales = next(f for f in _document(TEXTS["tabs"]).figures if f.quantity.value == 1250.5)
    assert (sales.words, sales.head, sales.row, sales.column) == ({"sale"}, {"2019"}, 1, 1)


def test_a_blank_head_is_under_what_stands_left_of_it() -> None:
    document = _document("\t2019\t\t2018\t\n\tMen\tWomen\tMen\tWomen\nAged 65\t86.8\t88.9\t87.3\t89.3")
    assert [(f.time, "women" in f.head) for f in document.figures if f.quantity.decimals] == [
        (2019, False), (2019, True), (2018, False), (2018, True),
    ]  # fmt: skip


def test_the_scale_stands_before_the_table_or_is_that_of_the_text_beside_it() -> None:
    table = "\t2019\t2018\nSales\t788,948\t718,892"
    assert {scale for _, scale, _ in _values(_document(f"Sales (in thousands):\n{table}"))} == {1e3}
    told = _document(f"Sales were $788.9 million in 2019.\n{table}")
    assert [(f.scale, f.sure) for f in told.figures if f.table > 0 and f.quantity.kind is Kind.VALUE] == [
        (1e3, 1.0)
    ] * 2
    unsaid = _document(table)
    assert {f.sure for f in unsaid.figures if f.quantity.kind is Kind.VALUE} == {0.0}


def test_a_column_of_percentages_may_leave_out_their_sign() -> None:
    document = _document("\t2019\nStatutory rate\t21.0%\nCredits\t(9.9)\nEffective rate\t13.0%")
    assert [f.rate for f in document.figures if f.quantity.value == -9.9] == [0.9]


def test_running_text_is_no_table() -> None:
    text = "Sales were 5, 6 and 7 million in 2017, 2018 and 2019, respectively.\nCosts, in turn, fell by 3%, to 2."
    assert all(figure.table < 0 for figure in _document(text).figures)


def test_too_many_numbers_are_not_read() -> None:
    assert parse("\n".join(f"a\t{i}" for i in range(60)), "", 50) is None


@pytest.mark.parametrize("text", ["a\tb\n" * 4_000, "| " * 20_000, "x," * 20_000, "  a  b\n" * 2_000, '"' * 20_000])
def test_hostile_tables_take_no_time(text: str) -> None:
    assert parse(text, "", 2000) is not None


def test_an_immense_label_is_read_in_no_time() -> None:
    immense = " ".join(f"w{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}" for i in range(15_000))
    rows = "\n".join(f"{immense if i == 150 else 'r'}\t{i}.5" for i in range(300))
    document = parse(f"{immense}\t2019\n{immense}\t{immense}\n{immense}\t\n{rows}", "", 2000)
    assert document is not None
    assert sum(len(figure.words) + len(figure.head) for figure in document.figures) < 200_000
