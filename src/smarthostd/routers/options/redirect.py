"""The options of the router ``redirect``."""

from typing import Literal

from smarthostd.options import Bool, Expanded, Groups, Octal, Users, option
from smarthostd.routers.options import RouterOptions


class RedirectOptions(RouterOptions):
    """Options of ``driver = redirect``."""

    driver: Literal["redirect"]
    data: Expanded = option("", "Where the address is redirected to.")
    file: Expanded = option("", "A file that says where.")
    allow_fail: Bool = option(False, "Allow :fail:.")
    allow_defer: Bool = option(False, "Allow :defer:.")
    allow_filter: Bool = option(False, "Without effect: filters are not there.")
    allow_freeze: Bool = option(False, "Accepted and ignored: for filters.")
    forbid_blackhole: Bool = option(False, "Forbid :blackhole:.")
    forbid_file: Bool = option(False, "Forbid deliveries to files.")
    forbid_include: Bool = option(False, "Forbid :include:.")
    forbid_pipe: Bool = option(False, "Forbid pipes.")
    forbid_smtp_code: Bool = option(False, "Accepted and ignored.")
    check_ancestor: Bool = option(False, "Drop a new address that is an ancestor of this one.")
    check_owner: Bool = option(False, "Without effect: who owns a file is not looked at.")
    check_group: Bool = option(False, "Without effect: who owns a file is not looked at.")
    directory_transport: Expanded = option("", "The transport for /dir/ items.")
    file_transport: Expanded = option("", "The transport for /file items.")
    pipe_transport: Expanded = option("", "Accepted and ignored: pipes are not run.")
    reply_transport: Expanded = option("", "Accepted and ignored: for filters.")
    hide_child_in_errmsg: Bool = option(False, "Do not name the new addresses in bounces.")
    ignore_enotdir: Bool = option(False, "A path of which a part is no directory counts as a missing file.")
    include_directory: Expanded = option("", "Includes must be below this directory.")
    modemask: Octal = option(0o022, "Without effect: who may write to a file is not looked at.")
    one_time: Bool = option(False, "Without effect: new addresses are found again at each attempt.")
    owners: Users = option("", "Without effect: who owns a file is not looked at.")
    owngroups: Groups = option("", "Without effect: who owns a file is not looked at.")
    qualify_domain: Expanded = option("", "The domain for new addresses without one.")
    qualify_preserve_domain: Bool = option(False, "New addresses without a domain get the incoming one.")
    repeat_use: Bool = option(True, "Without effect: an address may pass the router again.")
    rewrite: Bool = option(True, "Whether the rewriting rules apply to new addresses.")
    skip_syntax_errors: Bool = option(False, "Leave out items that cannot be read; the log says which.")
    syntax_errors_text: Expanded = option("", "What a message to syntax_errors_to begins with.")
    syntax_errors_to: Expanded = option("", "Addresses that get a message about items that were left out.")
    sieve_subaddress: Expanded = option("", "Accepted and ignored: Sieve is not there.")
    sieve_useraddress: Expanded = option("", "Accepted and ignored: Sieve is not there.")
    sieve_vacation_directory: Expanded = option("", "Accepted and ignored: Sieve is not there.")
