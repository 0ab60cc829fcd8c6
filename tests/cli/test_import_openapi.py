"""``rxorch import-openapi``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_cli import rxorch_command

PETSTORE = str(Path(__file__).parents[1] / "openapi" / "specs" / "petstore.yaml")


def test_a_table_of_the_operations() -> None:
    run = rxorch_command(
        "import-openapi", PETSTORE, "--tag", "store", "--include", "get*", "--include", "place*"
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert [line.split() for line in run.stdout.splitlines()] == [
        ["endpoint", "method", "path", "takes", "answers"],
        ["getInventory", "GET", "/store/inventory", "dict[str,", "int]"],
        ["placeOrder", "POST", "/store/order", "body", "Order"],
        ["getOrderById", "GET", "/store/order/{orderId}", "orderId", "Order"],
        ["3", "operations", "of", "Swagger", "Petstore"],
    ]


def test_a_module(tmp_path: Path) -> None:
    output = tmp_path / "made.py"
    run = rxorch_command(
        "import-openapi", PETSTORE, "-o", str(output), "--server", "https://test.example.com"
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, f"{output}: 20 endpoints\n", "")
    text = output.read_text()
    assert 'BASE_URL = "https://test.example.com"' in text
    assert "class Pet(DescribedModel):" in text
    namespace: dict[str, object] = {"__name__": "made"}
    exec(compile(text.replace("made.py", ""), "made.py", "exec"), namespace)


def test_what_is_skipped_is_told(tmp_path: Path) -> None:
    spec = tmp_path / "a.yaml"
    spec.write_text(
        "{openapi: 3.1.0, servers: [{url: https://x.example.com}], paths: {/a: {trace: {}, get: {}}}}"
    )
    run = rxorch_command("import-openapi", str(spec))
    assert run.returncode == 0
    assert (
        run.stderr
        == "skipped: TRACE /a: TRACE echoes the request with its credentials and is not supported\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.yaml"], "rxorch: cannot read 'nowhere.yaml': No such file or directory\n"),
        ([PETSTORE, "--tag", "none"], "rxorch: tags: no operation has the tag 'none'\n"),
        (
            [PETSTORE, "-o", "/nowhere/a.py"],
            "rxorch: cannot write '/nowhere/a.py': No such file or directory\n",
        ),
        ([__file__], "rxorch: test_import_openapi.py: not valid YAML"),
    ],
)
def test_errors_are_one_line_and_exit_with_2(arguments: list[str], message: str) -> None:
    run = rxorch_command("import-openapi", *arguments)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(message)
    assert run.stderr.count("\n") == 1


def test_texts_that_no_terminal_shows_are_escaped(tmp_path: Path) -> None:
    spec = tmp_path / "a.json"
    spec.write_text(
        '{"openapi": "3.1.0", "info": {"title": "a\\ud800"}, "servers": [{"url": "https://x.example.com"}],'
        ' "paths": {"/a\\ud800": {"get": {"parameters": [{"name": "\\ud800", "in": "query"}]}}}}'
    )
    run = rxorch_command("import-openapi", str(spec))
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.endswith("1 operations of a\\ud800\n")
    run = rxorch_command("import-openapi", str(spec), "-o", str(tmp_path / "made.py"))
    assert (run.returncode, run.stderr) == (0, "")
