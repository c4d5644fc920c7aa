"""The compose file of an MLflow server: valid, its variables MLflow's own, and its server works."""

import importlib.metadata
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT, Project
from tests.support.image import ScratchImage
from tests.support.postgres import postgres
from tests.support.schemas import validate
from tests.support.servers import answer, free_port, served

FOLDER = ROOT / "deploy/mlflow"
SECRETS = {
    name: f"test{name}".lower().replace("_", "")
    for name in ("POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
}


def read_compose() -> dict[str, Any]:
    """Read the services, with the secrets put in."""
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    text = re.sub(r"\$\{(\w+):\?[^}]*\}", r"${\1}", text)
    services: dict[str, Any] = YAML(typ="safe").load(Template(text).substitute(SECRETS))["services"]
    return services


def test_the_compose_file_fits_the_specification() -> None:
    from jsonschema import ValidationError  # takes two seconds to import

    compose = YAML(typ="safe").load(FOLDER / "compose.yaml")
    validate(compose, "compose-spec")
    compose["services"]["mlflow"]["commando"] = []
    with pytest.raises(ValidationError, match="commando"):
        validate(compose, "compose-spec")


def test_images_are_pinned_and_no_secret_has_a_default() -> None:
    services = read_compose()
    images = [service["image"] for service in services.values() if "image" in service]
    assert len(images) == 2
    assert all(re.fullmatch(r"[\w/]+:[\w.-]+@sha256:[0-9a-f]{64}", each) for each in images)
    assert services["mlflow"]["build"] == "."
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+):\?", text)) == set(SECRETS)
    assert not re.search(r"\$\{\w+:?-", text)


def test_the_variables_are_those_of_mlflow_and_name_the_other_services() -> None:
    services = read_compose()
    variables = services["mlflow"]["environment"]
    mlflow = Path(str(importlib.metadata.distribution("mlflow").locate_file("mlflow")))
    sources = ("cli/__init__.py", "utils/cli_args.py", "environment_variables.py")
    code = "\n".join((mlflow / each).read_text() for each in sources)  # importing takes ten seconds
    known = set(re.findall(r'envvar="(\w+)"', code))
    known |= set(re.findall(r"^(\w+) = _\w*EnvironmentVariable\(", code, re.MULTILINE))
    used = {name for name in variables if name.startswith("MLFLOW_")}
    assert len(used) == 5
    assert used <= known
    database = services["database"]["environment"]
    user, password = database["POSTGRES_USER"], database["POSTGRES_PASSWORD"]
    place = f"{user}:{password}@database:5432/{database['POSTGRES_DB']}"
    assert variables["MLFLOW_BACKEND_STORE_URI"] == f"postgresql+psycopg2://{place}"
    assert (
        f"-bucket={variables['MLFLOW_ARTIFACTS_DESTINATION'].removeprefix('s3://')}"
        in (services["objects"]["command"])
    )
    assert variables["MLFLOW_S3_ENDPOINT_URL"] == "http://objects:8333"
    for name, value in services["objects"]["environment"].items():
        assert variables[name] == value


def test_its_mlflow_is_ours() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    (version,) = [line for line in lines if line.startswith("mlflow==")]
    assert f" {version} " in (FOLDER / "Containerfile").read_text(encoding="utf-8")


def create_database(url: str, user: str, password: str, name: str) -> str:
    """Create a user with a database in the server that `url` names; its place as host:port."""
    from pg8000.native import Connection, identifier, literal

    parts = urlsplit(url)
    with Connection(
        str(parts.username),
        host=str(parts.hostname),
        port=parts.port or 0,
        password=unquote(str(parts.password)),
        database=parts.path.strip("/"),
    ) as connection:
        connection.run(f"CREATE USER {identifier(user)} PASSWORD {literal(password)}")
        connection.run(f"CREATE DATABASE {identifier(name)} OWNER {identifier(user)}")
    return f"{parts.hostname}:{parts.port}"


@pytest.fixture
def s3_command(tmp_path: Path) -> list[str]:
    """The command of an S3 server on loopback, but for its port: moto's, installed in a folder."""
    wanted = ["moto[s3]==5.2.5", "flask", "flask-cors"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(tmp_path / "moto")]
    subprocess.run([*pip, *wanted], check=True)
    return ["env", f"PYTHONPATH={tmp_path / 'moto'}", sys.executable, "-m", "moto.server"]


@pytest.mark.slow(reason="installs MLflow and an S3 server; starts them and PostgreSQL")
def test_runs_and_models_go_through_the_server_to_postgresql_and_s3(
    spoiled: Project, s3_command: list[str], tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    image = ScratchImage(tmp_path / "image")
    image.build(FOLDER / "Containerfile", FOLDER)
    services = read_compose()
    account = [
        services["database"]["environment"][f"POSTGRES_{n}"] for n in ("USER", "PASSWORD", "DB")
    ]
    variables = services["mlflow"]["environment"]
    bucket = variables["MLFLOW_ARTIFACTS_DESTINATION"].removeprefix("s3://")
    port, s3_port = free_port(), free_port()
    address, s3 = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{s3_port}"
    with (
        postgres(tmp_path / "postgres") as url,
        served(tmp_path, *s3_command, "-p", str(s3_port)) as store,
    ):
        answer(store, urllib.request.Request(f"{s3}/{bucket}", method="PUT"))  # noqa: S310
        for name, place in (
            ("MLFLOW_BACKEND_STORE_URI", ("database:5432", create_database(url, *account))),
            ("MLFLOW_S3_ENDPOINT_URL", ("http://objects:8333", s3)),
        ):
            variables[name] = variables[name].replace(*place)
        start = " ".join(image.settings.command).replace("5000", str(port))
        with served(tmp_path, *image.command(start, **variables)) as server:
            assert answer(server, f"{address}/health") == b"OK"
            there = ("env", f"MLFLOW_TRACKING_URI={address}")
            report = ("dvc", "repro", "--force", "--single-item", "report")
            spoiled.must(*there, *report, tracking="on")
            spoiled.must(*there, "twinear", "promote", tracking="on")
            client = MlflowClient(address)
            experiments = [each.experiment_id for each in client.search_experiments()]
            runs = {run.info.run_id for run in client.search_runs(experiments)}
            (version,) = client.search_model_versions("name = 'twinear'")
            assert version.run_id in runs
            name = "reports/report.md"  # which names its run there
            stored = client.download_artifacts(version.run_id, name, str(tmp_path))
            assert version.run_id in Path(stored).read_text(encoding="utf-8")
        keys = answer(store, f"{s3}/{bucket}?list-type=2").decode()
    assert f"{version.run_id}/artifacts/{name}" in keys
    assert "scorer.safetensors" in keys
