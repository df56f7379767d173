"""Licences, known weaknesses and bill of materials of all Python and JavaScript packages: ``make audit``.

Licences and the bill of materials (CycloneDX 1.6) come from the locks and from what is installed, without a network. Known
weaknesses are asked of the packages' registries by pip-audit and npm; without a network that part says so and nothing else
is lost.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import uuid
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PIP_AUDIT = "pip-audit==2.9.0"
OFFLINE = "known weaknesses were not looked up, for the registry of {} packages cannot be reached; run it again online"
STRONG = re.compile(
    r"\b(?<!L)A?GPL|SSPL|Commons Clause|proprietary", re.IGNORECASE
)  # licences that would bind this project


def python_packages() -> list[dict[str, Any]]:
    """Name, version, licence and hashes of every package of the lock; a version for other systems is not installed here."""
    found = []
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for block in re.split(r"^(?=[a-z0-9])", text, flags=re.M):
        if head := re.match(r"([a-z0-9._-]+)==([^ ;\\]+)", block):
            name, version = head.groups()
            about = {"name": name, "version": version, "licence": python_licence(name), "kind": "pypi"}
            found.append(about | {"hashes": re.findall(r"--hash=sha256:([0-9a-f]{64})", block)})
    return found


def python_licence(name: str) -> str:
    """As the installed package says: its expression, its classifiers, the first line of its licence; "unknown"."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return "not installed here"
    if expression := about.get("License-Expression"):
        return str(expression)
    named = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
    named = [n for n in named if n != "OSI Approved"]
    lines = [line for line in str(about.get("License") or "").splitlines() if line.strip()]
    return "; ".join(named) or (lines[0].strip() if lines and len(lines[0]) < 60 else "unknown")


def javascript_packages() -> list[dict[str, Any]]:
    """The same of every package of ``package-lock.json``."""
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    found = []
    for place, about in packages.items():
        if place:
            name = place.rpartition("node_modules/")[2]
            sha = base64.b64decode(about["integrity"].partition("-")[2]).hex() if "integrity" in about else ""
            found.append(
                {"name": name, "version": about["version"], "licence": about.get("license", "unknown"), "kind": "npm"}
                | {"hashes": [sha] if sha else []}
            )
    return found


def bill(packages: list[dict[str, Any]]) -> dict[str, Any]:
    """The bill of materials in CycloneDX 1.6; the same packages give the same bytes."""
    parts = []
    for about in packages:
        purl = f"pkg:{about['kind']}/{about['name'].replace('@', '%40')}@{about['version']}"
        algorithm = "SHA-256" if about["kind"] == "pypi" else "SHA-512"
        part: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": about["name"], "version": about["version"]}
        part |= {"purl": purl, "licenses": [{"license": {"name": about["licence"]}}]}
        if about["kind"] == "npm" and about["hashes"]:  # of a Python package each wheel has its own
            part["hashes"] = [{"alg": algorithm, "content": h} for h in about["hashes"]]
        parts.append(part)
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(parts, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{number}", "version": 1}
    about = {"component": {"type": "application", "name": "uapkit", "bom-ref": "uapkit"}}
    return head | {"metadata": about, "components": parts}


def weaknesses() -> tuple[list[str], list[str]]:
    """(known weaknesses, sentences on what could not be asked)."""
    uv, npm = ROOT / ".tools" / "bin" / "uv", Path(sys.executable).with_name("npm")
    found: list[str] = []
    problems: list[str] = []
    lock = [
        "-r",
        str(ROOT / "requirements.lock"),
        "--require-hashes",
        "--disable-pip",
        "--progress-spinner",
        "off",
        "-f",
        "json",
    ]
    report = _json([str(uv), "tool", "run", "--from", PIP_AUDIT, "pip-audit", *lock])
    if report is None:
        problems.append(OFFLINE.format("Python"))
    else:
        found += [
            f"{package['name']} {package['version']}: {one['id']}, mended in {', '.join(one['fix_versions']) or 'no version'}"
            for package in report["dependencies"]
            for one in package.get("vulns", [])
        ]
    report = _json([str(npm), "audit", "--package-lock-only", "--json"])
    if report is None or "vulnerabilities" not in report:
        problems.append(OFFLINE.format("JavaScript"))
    else:
        found += [f"{name}: {one['severity']}, {one['range']}" for name, one in report["vulnerabilities"].items()]
    return found, problems


def _json(command: list[str]) -> Any:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
        return json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def main() -> int:
    """Write licences.csv, sbom.json and weaknesses.txt to ``build/audit``; 1 where something must be looked at."""
    packages = [*python_packages(), *javascript_packages()]
    place = ROOT / "build" / "audit"
    place.mkdir(parents=True, exist_ok=True)
    rows = [f'{p["kind"]},{p["name"]},{p["version"]},"{p["licence"]}"' for p in packages]
    (place / "licences.csv").write_text("kind,package,version,licence\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (place / "sbom.json").write_text(json.dumps(bill(packages), indent=1) + "\n", encoding="utf-8")
    binding = [f"{p['name']} {p['version']}: {p['licence']}" for p in packages if STRONG.search(p["licence"])]
    found, problems = weaknesses()
    (place / "weaknesses.txt").write_text("\n".join([*found, *problems]) + "\n", encoding="utf-8")
    print(f"{len(packages)} packages; licences.csv, sbom.json and weaknesses.txt are in build/audit")
    for title, lines in (("licences to look at", binding), ("known weaknesses", found), ("not asked", problems)):
        print(f"{title}: {len(lines) or 'none'}", *lines, sep="\n  ")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
