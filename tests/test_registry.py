"""Discovery: whatever is installed is listed or explained, and every refusal says what to do."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tomllib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import interp_core as core
import pytest
from interp_core.errors import BrokenPluginError, DuplicateMethodError, InputError, PluginError, UnknownMethodError
from interp_core.plugin import Method, catalogue
from interp_core.plugin import _registry as registry
from packages import packages

pytestmark = pytest.mark.current

ROOT = Path(__file__).parent.parent
HEAD = "from interp_core.plugin import Method, hookimpl\n"
HOOK = HEAD + (
    "@hookimpl\ndef interp_methods():\n"
    "    yield Method(name={name!r}, kind='attribution', target={target!r}, summary='nothing', source='definition')\n"
)
GOOD = [f"good-{i:02d}" for i in range(34)]
BROKEN = {  # package: (what its top module says, what must be said about it)
    "fake-absent": ("import a_module_that_nobody_has\n", "No module named 'a_module_that_nobody_has'"),
    "fake-exit": ("raise SystemExit(3)\n", "SystemExit: 3"),
    "fake-signature": (HEAD + "@hookimpl\ndef interp_methods(config):\n    yield from ()\n", "config"),
    "fake-misspelt": (HEAD + "@hookimpl\ndef interp_method():\n    yield from ()\n", "'interp_method'"),
    "fake-type": (HEAD + "@hookimpl\ndef interp_methods():\n    yield {'name': 'x'}\n", "{'name': 'x'}"),
}
TWICE = ("fake-twice", GOOD[0])
HEAVY = ("torch", "numpy", "transformers")


def install(folder: Path, package: str, source: str, requires: tuple[str, ...] = ()) -> None:
    """Put a distribution into a folder as pip would: a module, and what it says about itself."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(source)
    about = folder / f"{module}-1.2.3.dist-info"
    about.mkdir()
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2.3\n{needs}")
    (about / "entry_points.txt").write_text(f"[interp]\n{package} = {module}\n")
    (about / "RECORD").write_text(f"{module}.py,,\n{about.name}/METADATA,,\n{about.name}/entry_points.txt,,\n")


def interp(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a new interpreter that also finds what is in a folder; its last line names what is loaded."""
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr))\n"
        "from interp_core.cli import main\nmain()"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty packages: 34 that work, five that cannot be read, and one that takes a name another one has."""
    folder = tmp_path_factory.mktemp("forty")
    for name in GOOD:
        install(folder, f"fake-{name}", HOOK.format(name=name, target=f"fake_{name.replace('-', '_')}:Found"))
    for package, (source, _reason) in BROKEN.items():
        install(folder, package, source)
    install(folder, TWICE[0], HOOK.format(name=TWICE[1], target="fake_twice:Found"))
    assert len(list(folder.glob("*.dist-info"))) == 40
    return folder


@pytest.fixture(scope="module")
def listing(forty: Path) -> dict[str, Any]:
    """What `interp list --json` says of them."""
    done = interp(forty, "list", "--json")
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "loaded": done.stderr.splitlines()[-1]}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Makes this interpreter find what is installed in a folder."""

    def look(folder: Path) -> None:
        monkeypatch.syspath_prepend(str(folder))
        registry._installed.cache_clear()

    yield look
    registry._installed.cache_clear()


def test_every_good_plugin_among_broken_ones_is_listed(listing: dict[str, Any]) -> None:
    listed = {(m["package"], m["name"]) for m in listing["methods"]}
    assert {(f"fake-{name}", name) for name in GOOD} <= listed


@pytest.mark.parametrize("package", BROKEN)
def test_every_broken_plugin_is_explained(listing: dict[str, Any], package: str) -> None:
    reasons = [f["failure"] for f in listing["failures"] if f["package"] == package]
    assert len(reasons) == 1
    assert BROKEN[package][1] in reasons[0]
    assert "\n" not in reasons[0]


def test_a_name_declared_twice_is_listed_with_both_packages(listing: dict[str, Any]) -> None:
    assert [m["package"] for m in listing["methods"] if m["name"] == TWICE[1]] == [f"fake-{TWICE[1]}", TWICE[0]]


def test_no_plugin_is_lost(listing: dict[str, Any]) -> None:
    told = [row["package"] for row in (*listing["methods"], *listing["failures"]) if row["package"].startswith("fake-")]
    assert len(told) == 40
    assert set(told) == {f"fake-{name}" for name in GOOD} | set(BROKEN) | {TWICE[0]}


def test_listing_forty_plugins_loads_neither_torch_nor_numpy(listing: dict[str, Any]) -> None:
    assert listing["loaded"] == "[]"


def test_the_list_for_people_gives_a_broken_plugin_one_line_and_no_traceback(forty: Path) -> None:
    done = interp(forty, "list")
    assert done.returncode == 0
    assert "Traceback" not in done.stdout + done.stderr
    for package in BROKEN:
        assert sum(f"broken  {package} 1.2.3: " in line for line in done.stdout.splitlines()) == 1
    for name in GOOD:
        assert f"  {name} " in done.stdout or f"/{name} " in done.stdout


def test_the_list_for_people_says_how_to_ask_for_a_name_declared_twice(forty: Path) -> None:
    said = interp(forty, "list").stdout
    assert f"fake-{TWICE[1]}/{TWICE[1]}" in said
    assert f"{TWICE[0]}/{TWICE[1]}" in said


def test_a_name_declared_twice_is_an_error_only_for_that_name(forty: Path, found: Callable[[Path], None]) -> None:
    found(forty)
    with pytest.raises(DuplicateMethodError) as caught:
        registry.find_method(TWICE[1])
    assert f"'fake-{TWICE[1]}/{TWICE[1]}'" in str(caught.value)
    assert f"'{TWICE[0]}/{TWICE[1]}'" in str(caught.value)
    assert registry.find_method(GOOD[1]).name == GOOD[1]


def test_the_package_before_the_name_says_which_of_two_is_meant(forty: Path, found: Callable[[Path], None]) -> None:
    found(forty)
    assert registry.find_method(f"{TWICE[0]}/{TWICE[1]}").target == "fake_twice:Found"
    assert registry.find_method(f"fake-{TWICE[1]}/{TWICE[1]}").target == "fake_good_00:Found"


def test_asking_for_a_method_of_a_broken_package_repeats_why_it_is_broken(
    forty: Path, found: Callable[[Path], None]
) -> None:
    found(forty)
    with pytest.raises(UnknownMethodError, match=r"fake-exit is installed and broken: SystemExit: 3"):
        registry.find_method("fake-exit")


def test_a_broken_package_whose_name_happens_to_contain_the_name_is_not_blamed(
    tmp_path: Path, found: Callable[[Path], None]
) -> None:
    install(tmp_path, "fake-article", "raise SystemExit(3)\n")
    found(tmp_path)
    with pytest.raises(UnknownMethodError, match="No installed method is called 'art'") as caught:
        registry.find_method("art")
    assert "fake-article" not in str(caught.value)


def test_a_hook_that_forgets_to_yield_is_not_called_missing(tmp_path: Path, found: Callable[[Path], None]) -> None:
    install(tmp_path, "fake-silent", HEAD + "@hookimpl\ndef interp_methods():\n    pass\n")
    found(tmp_path)
    reason = next(p.failure for p in registry.failures() if p.package == "fake-silent")
    assert reason is not None
    assert "None" in reason
    assert "no function" not in reason


@pytest.mark.parametrize("vocabulary", ["needs={'gradients'}", "claims=['signed']"])
def test_a_plugin_with_sets_or_lists_for_frozensets_does_not_take_the_listing_down(
    tmp_path: Path, vocabulary: str
) -> None:
    source = HOOK.format(name="loose", target="fake_loose:Found").replace("source=", f"{vocabulary}, source=")
    install(tmp_path, "fake-loose", source)
    done = interp(tmp_path, "list", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "fake-loose" in {row["package"] for row in (*told["methods"], *told["failures"])}


def test_a_plugin_that_prints_leaves_the_json_readable(tmp_path: Path) -> None:
    install(tmp_path, "fake-loud", "print('hello')\n" + HOOK.format(name="loud", target="fake_loud:Found"))
    assert "loud" in {m["name"] for m in json.loads(interp(tmp_path, "list", "--json").stdout)["methods"]}


def test_a_missing_requirement_is_named_with_the_command_that_mends_it(
    tmp_path: Path, found: Callable[[Path], None]
) -> None:
    requires = ("click>=1", "a-thing-that-nobody-has>=2", 'a-thing-for-an-extra; extra == "more"')
    install(tmp_path, "fake-needy", "import a_thing_that_nobody_has\n", requires)
    found(tmp_path)
    reason = next(p.failure for p in registry.failures() if p.package == "fake-needy")
    assert reason is not None
    assert "It needs a-thing-that-nobody-has>=2 (not installed): pip install 'fake-needy'." in reason
    assert "click" not in reason
    assert "extra" not in reason


def test_a_requirement_of_another_platform_is_not_called_missing(tmp_path: Path, found: Callable[[Path], None]) -> None:
    requires = ('a-thing-for-old-pythons; python_version < "3"',)
    install(tmp_path, "fake-ported", "import a_module_that_nobody_has\n", requires)
    found(tmp_path)
    reason = next(p.failure for p in registry.failures() if p.package == "fake-ported")
    assert reason is not None
    assert "a-thing-for-old-pythons" not in reason


def test_a_requirement_missing_at_first_use_is_explained_then(tmp_path: Path, found: Callable[[Path], None]) -> None:
    install(tmp_path, "fake-late", HOOK.format(name="late", target="fake_late_work:Found"), ("nobody-has-this>=3",))
    (tmp_path / "fake_late_work.py").write_text("import nobody_has_this\n")
    found(tmp_path)
    with pytest.raises(BrokenPluginError) as caught:
        registry.method("late")
    message = str(caught.value)
    assert "'late' (fake-late)" in message
    assert "No module named 'nobody_has_this'" in message
    assert "pip install 'fake-late'" in message


# From here on the methods are classes of this file.


@dataclass(frozen=True)
class Constant:
    """A method with two hyperparameters."""

    samples: int = 3
    seed: int = 0

    def attribute(self, question: object) -> object:
        return question


class Verbless:
    """No method of any kind."""


def declared(name: str, **changes: Any) -> Method:
    values = {"kind": "attribution", "target": f"{__name__}:Constant", "summary": "nothing", "source": "definition"}
    return Method(name=name, **{**values, **changes})


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("lime", "interp-lime"),
        ("insertion", "interp-insertion-deletion"),
        ("deletion", "interp-insertion-deletion"),
        ("mse", "interp-reconstruction"),
        ("acme-lime/lime", "interp-lime"),
    ],
)
def test_an_unknown_name_comes_with_the_package_to_install(name: str, package: str) -> None:
    with registry.only(), pytest.raises(UnknownMethodError) as caught:
        registry.find_method(name)
    assert f"pip install {package}." in str(caught.value)
    assert repr(name) in str(caught.value)


def test_a_misspelt_name_is_answered_with_the_nearest_and_all_that_are_installed() -> None:
    with registry.only(declared("occlusion"), declared("lime")), pytest.raises(UnknownMethodError) as caught:
        registry.find_method("oclusion")
    assert "Did you mean 'occlusion'?" in str(caught.value)
    assert "Installed: lime, occlusion." in str(caught.value)


def test_an_unknown_name_is_a_lookup_error() -> None:
    with registry.only(), pytest.raises(LookupError):
        registry.find_method("nothing-like-it")


def test_only_names_of_the_kind_in_question_are_suggested() -> None:
    metric = declared("insertion", kind="metric", measures="attribution")
    with registry.only(metric), pytest.raises(UnknownMethodError) as caught:
        registry.find_method("insertions", "attribution")
    assert "Did you mean" not in str(caught.value)


def test_a_method_of_another_kind_is_refused_with_both_kinds() -> None:
    with registry.only(declared("lime")), pytest.raises(PluginError, match=r"'attribution'.*'concepts'"):
        registry.find_method("lime", "concepts")


def test_a_kind_tells_two_methods_of_one_name_apart() -> None:
    first, second = declared("same"), declared("same", kind="metric", measures="attribution")
    with registry.only(first, second):
        assert registry.find_method("same", "metric") is second
        assert registry.find_method("same", "attribution") is first


def test_methods_come_by_kind_and_name() -> None:
    metric = declared("a", kind="metric", measures="attribution")
    with registry.only(metric, declared("z"), declared("b")):
        assert [m.name for m in registry.methods()] == ["b", "z", "a"]
        assert [m.name for m in registry.methods("metric")] == ["a"]


def test_only_is_undone_after_an_error() -> None:
    before = registry.methods()
    with pytest.raises(KeyError), registry.only(declared("lime")):
        raise KeyError
    assert registry.methods() == before


def test_a_method_is_made_with_its_parameters() -> None:
    with registry.only(declared("lime")):
        assert registry.method("lime", samples=9) == Constant(samples=9)


def test_an_unknown_parameter_is_named_beside_those_there_are() -> None:
    with registry.only(declared("lime")), pytest.raises(InputError) as caught:
        registry.method("lime", n_samples=9)
    assert "'n_samples'" in str(caught.value)
    assert "samples, seed" in str(caught.value)


@pytest.mark.parametrize("target", ["a_module_that_nobody_has:Found", f"{__name__}:Missing"])
def test_a_target_that_is_not_there_is_a_broken_plugin(target: str) -> None:
    with registry.only(declared("lime", target=target)), pytest.raises(BrokenPluginError) as caught:
        registry.method("lime")
    assert repr(target) in str(caught.value)


def test_a_target_without_its_verb_is_a_broken_plugin() -> None:
    verbless = declared("lime", target=f"{__name__}:Verbless")
    with registry.only(verbless), pytest.raises(BrokenPluginError, match=r"attribute\(\)"):
        registry.method("lime")


def test_by_may_be_an_instance_that_no_package_declares() -> None:
    mine = Constant(seed=4)
    with registry.only():
        assert registry.resolve(mine, "attribution") is mine
        assert registry.declaration_of(mine) is None


def test_by_may_be_a_name_with_parameters() -> None:
    with registry.only(declared("lime")):
        assert registry.resolve("lime", "attribution", {"seed": 2}) == Constant(seed=2)


def test_a_class_in_place_of_an_instance_is_refused_with_what_to_write() -> None:
    with pytest.raises(InputError, match=r"by=Constant\(\)"):
        registry.resolve(Constant, "attribution")


def test_parameters_beside_an_instance_are_refused() -> None:
    with pytest.raises(InputError, match=r"\['seed'\].*Constant"):
        registry.resolve(Constant(), "attribution", {"seed": 1})


def test_an_instance_without_the_verb_is_refused() -> None:
    with pytest.raises(InputError, match=r"fit\(\).*'concepts'"):
        registry.resolve(Constant(), "concepts")


def test_a_registered_method_is_known_by_name_and_belongs_to_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", [])
    mine = declared("of-this-program")
    assert registry.register(mine) is mine
    registry.register(mine)
    assert registry.find_method("of-this-program") is mine
    assert registry.find_method("program/of-this-program") is mine
    assert registry.package_of(mine) == registry.PROGRAM
    assert registry.version_of(mine) == ""
    assert registry.declaration_of(Constant()) is mine


def test_an_installed_method_knows_its_package() -> None:
    lime = registry.find_method("lime")
    assert registry.package_of(lime) == "interp-lime"
    assert registry.version_of(lime) == "0.2.0"
    assert registry.declaration_of(registry.method("lime", samples=7)) == lime


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Lime"}, "kebab-case"),
        ({"name": "my_lime"}, "kebab-case"),
        ({"target": "interp_lime.lime"}, "package.module:Class"),
        ({"summary": ""}, "1 to 80 characters"),
        ({"summary": "x" * 81}, "1 to 80 characters"),
        ({"source": " "}, "source"),
        ({"kind": "metric"}, "'measures'"),
        ({"measures": "attribution"}, "'measures'"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        declared(**{"name": "lime", **changes})


def test_the_catalogue_knows_the_package_of_every_method_and_command_of_this_repository() -> None:
    declared, commands, names = {}, {}, {}
    for package in packages():
        hook = runpy.run_path(str(package.folder / package.module / "__init__.py")).get("interp_methods", tuple)
        declared |= {method.name: package.name for method in hook()}
        project = tomllib.loads((package.folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        commands |= dict.fromkeys(project["entry-points"].get("interp.commands", {}), package.name)
        names |= dict.fromkeys(project["entry-points"].get("interp.names", {}), package.name)
    assert catalogue() == {"methods": declared, "commands": commands, "names": names}
    assert len(declared) >= 83


def test_a_plugin_that_speaks_another_version_of_the_contract_is_refused_with_what_to_do(
    tmp_path: Path, found: Callable[[Path], None]
) -> None:
    for name, api in (("newer", 2), ("older", 0)):
        source = HOOK.format(name=name, target="fake:Found").replace("source=", f"api={api}, source=")
        install(tmp_path, f"fake-{name}", source)
    found(tmp_path)
    said = {p.package: str(p.failure) for p in registry.failures()}
    assert "declares api=2, and this interp-core speaks api=1: pip install -U interp-core" in said["fake-newer"]
    assert "declares api=0" in said["fake-older"] and "newer version of the package" in said["fake-older"]


@pytest.mark.parametrize("name", ["lim", "semi_nmf", "opanai", "insertoin", "lime2"])
def test_a_misspelt_name_of_what_is_installed_never_advises_a_package_that_is_not_ours(name: str) -> None:
    with pytest.raises(UnknownMethodError) as refused:
        registry.find_method(name)
    assert "pip install" not in str(refused.value) and "Did you mean" in str(refused.value)


# Names at the top


class _Entries:
    """Stands for the entry points that are installed."""

    def __init__(self, *entries: EntryPoint) -> None:
        self.entries = entries

    def __call__(self, *, group: str, name: str = "") -> list[EntryPoint]:
        return [e for e in self.entries if e.group == group and name in ("", e.name)]


def test_a_package_brings_a_name_to_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp_core.plugin._names._FOUND", {})
    ordered = EntryPoint("Ordered", "collections:OrderedDict", "interp.names")
    monkeypatch.setattr("interp_core.plugin._names.entry_points", _Entries(ordered))
    assert core.Ordered is OrderedDict and "Ordered" in dir(core)
    with pytest.raises(AttributeError, match="Did you mean 'Ordered'"):
        core.Orderd  # noqa: B018
    assert not hasattr(interp, "Pipeline")
    with pytest.raises(AttributeError, match="pip install interp-pipeline"):
        core.Pipeline  # noqa: B018


def test_a_name_that_cannot_be_imported_is_none_and_says_of_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("Broken", "no_such_module_anywhere:Thing", "interp.names")
    monkeypatch.setattr("interp_core.plugin._names.entry_points", _Entries(broken))
    assert not hasattr(core, "Broken")
    with pytest.raises(AttributeError, match="is broken: ModuleNotFoundError"):
        core.Broken  # noqa: B018


def test_a_name_of_two_packages_is_of_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [EntryPoint("Both", f"collections:{name}", "interp.names") for name in ("OrderedDict", "Counter")]
    monkeypatch.setattr("interp_core.plugin._names.entry_points", _Entries(*two))
    with pytest.raises(AttributeError, match="uninstall all but one"):
        core.Both  # noqa: B018
    assert "attribute" in dir(core) and core.attribute
