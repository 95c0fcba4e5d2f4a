"""Who writes, about what, and where: first names and cities from Faker's lists, products from a list of ours.

They are split into two pools by a hash of each value, one for the query logs and one for the benchmark. No
value of the benchmark's pool stands in a value of the logs' pool, not even as a part ("lamp" in "desk lamp").
"""

import hashlib
import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from faker.providers.lorem.en_US import Provider as English

from tao_ops.errors import ConfigError
from tao_ops.example.templates import INCLUDE, benchmark_templates, traffic_templates, words

NAME_LOCALES = "de_DE en_GB en_IN en_US es_ES fi_FI fr_FR hr_HR it_IT nl_NL pl_PL pt_PT ro_RO sv_SE"
CITY_LISTS = {
    "cities": "cs_CZ de_AT de_CH de_DE en_IN hr_HR id_ID nl_NL pl_PL pt_PT ro_RO sl_SI sv_SE",
    "real_city_names": "hu_HU",
}
BENCHMARK_PERCENT = 28
NAME = re.compile(r"[A-Z][a-z]{2,10}")
CITY = re.compile(r"[A-Z][a-z]{3,13}")
CITY_OF_WORDS = re.compile(r"[A-Z][a-z]+( ([A-Z][a-z]+|[a-z]{2,4}))? [A-Z][a-z]{3,}")
PRODUCT = re.compile(r"[a-z]+( [a-z]+)*")

WORDS_THAT_ARE_NAMES = words(
    """
    abbey alba ale amber angel april art ash asia august autumn baron basil bay beau bell bill blue bob
    boss brad brand breeze brook brooke bud buddy candy carol cash chad chance chase china chip christian
    clay cliff clover colt comfort coral cord crystal daisy dale dawn dean del destiny diamond dick dino
    dolly don dot drew duke earl east echo eden edit ember ernest eta eve faith fay fern finn flora forest
    forrest frank gala gene georgia geta ginger glen glory gold grace grant gray green grit guy hall happy
    harm harmony harry hazel heath heather heaven herb holland holly holm honey hope hugo hunter india
    iris isis ivory ivy jack jade jan janus jasmine jay jean jersey jet jewel john jordan joy june justice
    kay kelly kent kick king kitty lake lance lane lark laurel leaf lee liberty lily lore lotus lou love
    lucky mar marina mark mars mart mason mate max maxi may mercy meta mike mile miles milo misty month
    nick north nova ocean octavia olive opal page paige paris parker pat patience pearl peer peg penny
    pepper petal piper poppy porter prince princess puck queen rain ray read reed relu rich river rob
    robin rock rocky rod roman rose rosemary ruby rust rusty sage saint sally sandy scarlet scout sep shea
    sienna sky skye sol sole sonny south split stella stone storm stormy sue sugar summer sunny sven ted
    terry theory ties tiffany toby tom trinity trip troy tulip uno van vide viola violet virginia vita
    wade ward west will willow win winter wolf woody
    adolf benito corona fanny jihad osama panini pluto randy venus
    adelaide alexandria austin bradford bristol brooklyn camden carolina charlotte chelsea chester clinton
    dakota dallas denver devon florence genoa helena houston israel jackson jerusalem kenya kingston leon
    lincoln logan lorraine lourdes madison malaga medina melbourne mercedes milan nancy odessa orlando phoenix
    preston raleigh regina roma salvador santiago savanna savannah sofia stafford sydney trenton tunis
    valencia verona victoria vienna
    """
)
"""English words, brands, roles and well-known places that Faker's lists have as first names."""


@dataclass(frozen=True)
class Pool:
    """Sorted, distinct values that messages are filled with."""

    names: tuple[str, ...]
    """First names of one word."""
    products: tuple[str, ...]
    """Products in lower case, of one to four words."""
    cities: tuple[str, ...]
    """Cities in ASCII letters, of one to three words."""


@dataclass(frozen=True)
class Pools:
    """The two disjoint pools."""

    traffic: Pool
    benchmark: Pool


@cache
def pools(include: Path = INCLUDE) -> Pools:
    """Both pools: the same for the same files and the same release of Faker.

    Raises:
        ConfigError: the list of products or a file of templates is missing or malformed.
    """
    products = read_products(include / "example" / "products.txt")
    wording = words(" ".join((*traffic_templates(include), *benchmark_templates(include), *products)))
    ordinary = wording | WORDS_THAT_ARE_NAMES | {word.lower() for word in English.word_list}
    names = {name for name in _faker_names() if name.lower() not in ordinary}
    every_city = _faker_cities()
    taken = ordinary | words(" ".join(names))
    cities = {city for city in every_city if not _ambiguous(city, taken)}
    places = words(" ".join(every_city))
    names = {name for name in names if name.lower() not in places}
    return _split(names, set(products), cities)


def read_products(path: Path) -> list[str]:
    """Read the list of products: one a line, lower case, ASCII letters and single blanks.

    Raises:
        ConfigError: the file is missing, or a line is no product or stands there twice.
    """
    if not path.is_file():
        raise ConfigError("no such list of products", where=path, mend="restore it from the repository")
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        if not PRODUCT.fullmatch(line) or line in lines[: number - 1]:
            raise ConfigError("not a product, or listed twice", where=f"{path}:{number}")
    return lines


def _faker_names() -> set[str]:
    found: set[str] = set()
    for locale in NAME_LOCALES.split():
        provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
        for attribute in ("first_names", "first_names_female", "first_names_male"):
            found.update(name for name in getattr(provider, attribute, ()) if NAME.fullmatch(name))
    return found


def _faker_cities() -> set[str]:
    found: set[str] = set()
    for attribute, locales in CITY_LISTS.items():
        for locale in locales.split():
            provider = importlib.import_module(f"faker.providers.address.{locale}").Provider
            cities = [city for city in getattr(provider, attribute) if city.isascii()]
            if locale == "nl_NL":  # two thousand villages would crowd out every other country
                cities = [city for city in cities if " " in city]
            found.update(c for c in cities if CITY.fullmatch(c) or CITY_OF_WORDS.fullmatch(c))
    return found


def _ambiguous(city: str, taken: set[str]) -> bool:
    """Whether a city reads as a word or as a person: a capitalised part of it is one."""
    return any(part.lower() in taken for part in city.split() if part[0].isupper() and len(part) > 3)


def _split(names: set[str], products: set[str], cities: set[str]) -> Pools:
    kinds = (names, products, cities)
    held_out = [{value for value in kind if _percentile(value) < BENCHMARK_PERCENT} for kind in kinds]
    everything = set().union(*kinds)
    while True:  # a value that stands in one of the logs' values joins them, and so may others then
        spans = _parts(everything - set().union(*held_out))
        leaks = {value for kind in held_out for value in kind if value.lower() in spans}
        if not leaks:
            break
        held_out = [kind - leaks for kind in held_out]
    traffic = [kind - held for kind, held in zip(kinds, held_out, strict=True)]
    return Pools(
        traffic=Pool(*(tuple(sorted(kind)) for kind in traffic)),
        benchmark=Pool(*(tuple(sorted(kind)) for kind in held_out)),
    )


def _percentile(value: str) -> int:
    return int.from_bytes(hashlib.sha256(f"tickets:{value}".encode()).digest()[:8], "big") % 100


def _parts(values: Iterable[str]) -> set[str]:
    """Every run of whole words of every value, in lower case."""
    found: set[str] = set()
    for value in values:
        parts = value.lower().split()
        ends = range(1, len(parts) + 1)
        found.update(" ".join(parts[start:end]) for end in ends for start in range(end))
    return found
