"""Variables: which there are, and what they hold when nobody has set them."""

from __future__ import annotations

import re

import pytest

from smarthostd.expand import Expander, Facts
from smarthostd.expand.variables import Variables
from tests.expand.conftest import Expand

STANDING = {
    "primary_hostname": "client.example.net", "qualify_domain": "example.net", "qualify_recipient": "example.net",
    "version_number": "4.96", "host": "", "tls_out_cipher": "", "tls_out_bits": "0", "sending_port": "-1",
    "tls_out_certificate_verified": "0", "message_size": "0", "r_mine": "", "acl_m0": "", "acl_c_mine": "",
    "sender_helo_dnssec": "no", "1": "", "value": "", "item": "", "mime_part_count": "",
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), STANDING.items())
def test_a_variable_that_nobody_has_set_is(expand: Expand, name: str, value: str) -> None:
    assert expand(f"${name}") == value
    assert expand(f"${{{name}}}") == value


@pytest.mark.parametrize("name", ["nosuch", "tls_ver", "acl_x0", "acl_cx", "regex10", "r", "Host", "headers_charset"])
def test_there_is_no_variable(name: str) -> None:
    assert Variables(Facts("h")).find(name) is None


def test_what_the_caller_gives_comes_first(expand: Expand) -> None:
    assert (
        expand("$primary_hostname $value $item $1", primary_hostname="h", value="v", item="i", **{"1": "one"})
        == "h v i one"
    )
    assert expand("${extract{a}{a=x}{$value}}$value", value="v") == "xv"


FORMS = {
    "tod_full": r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}",
    "tod_log": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "tod_bsdinbox": r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \d{4}",
    "tod_zone": r"[+-]\d{4}",
    "tod_zulu": r"\d{14}Z",
    "tod_logfile": r"\d{8}",
    "tod_epoch": r"\d{10,}",
    "tod_epoch_l": r"\d{16,}",
    "pid": r"\d+",
    "exim_uid": r"\d+",
    "load_average": r"\d+",
    "spool_space": r"-1|\d+",
}


@pytest.mark.parametrize(("name", "form"), FORMS.items())
def test_a_variable_of_the_machine_has_the_form(expand: Expand, name: str, form: str) -> None:
    assert re.fullmatch(form, expand(f"${name}"))


def test_the_folder_of_the_configuration(language: Expander) -> None:
    assert Variables(Facts("h", config_file="/etc/smarthostd/a.conf")).find("config_dir") == "/etc/smarthostd"
