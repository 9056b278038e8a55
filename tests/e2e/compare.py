#!/usr/bin/env python3
"""Everything that a sync left in NetBox, and what differs between two such states.

    compare.py dump FILE      reads NetBox into FILE; NETBOX_URL and NETBOX_TOKEN say which
    compare.py diff A B       lists rows and fields that differ, by collection; ends with 1 if any do

Rows are told apart by what they are called within their parent, never by id; times at which rows were written and loads of the
moment are left out.
"""
import collections
import json
import os
import sys
import urllib.request

PLUGIN = "plugins/proxbox/"
COLLECTIONS = [
    "dcim/manufacturers", "dcim/device-types", "dcim/device-roles", "dcim/sites", "dcim/platforms", "dcim/devices",
    "dcim/interfaces", "dcim/mac-addresses", "virtualization/cluster-types", "virtualization/cluster-groups",
    "virtualization/clusters", "virtualization/virtual-machine-types", "virtualization/virtual-machines",
    "virtualization/virtual-disks", "virtualization/interfaces", "ipam/ip-addresses", "ipam/vlans", "ipam/vlan-groups",
    "ipam/prefixes", "ipam/vrfs", "extras/tags", "extras/custom-fields", "extras/journal-entries", "tenancy/tenants",
    *(PLUGIN + name for name in (
        "proxmox-clusters", "proxmox-nodes", "storage", "backups", "snapshots", "task-history", "replications",
        "backup-routines", "guest-vm-interfaces", "guest-vm-interface-addresses", "vm-cloudinit", "vm-templates",
        "datacenter-cpu-models", "firewall/security-groups", "firewall/rules", "firewall/ipsets",
        "firewall/ipset-entries", "firewall/aliases", "firewall/options")),
    *(PLUGIN + "sync-state/" + name for name in (
        "cluster-groups", "cluster-types", "clusters", "device-roles", "device-types", "devices", "interfaces",
        "ip-addresses", "manufacturers", "sites", "virtual-disks", "virtual-machines", "vlans", "vm-interfaces")),
]
LEFT_OUT = {"id", "url", "display", "display_url", "created", "last_updated", "last_synced", "last_run_id",
            "proxmox_last_updated", "config_context", "assigned_object_id",
            "cpu_usage", "cpu_usage_percent", "memory_usage", "memory_usage_percent", "proxbox_storage_id",
            "credential_assignment_lookup"}
SETS = {"content", "nodes"}  # comma lists that Proxmox tells in any order
PARENTS = ("virtual_machine", "virtual_disk", "vm_interface", "guest_interface", "assigned_object", "cluster", "device")
NAMES = ("upid", "volume_id", "replication_id", "job_id", "address", "name", "mac_address", "model", "ip_address", "slug")


def read(path):
    """Every row of a collection; none where this NetBox has no such collection."""
    url = f"{os.environ['NETBOX_URL'].rstrip('/')}/api/{path}/?limit=1000"
    while url:
        request = urllib.request.Request(url, headers={"Authorization": f"Token {os.environ['NETBOX_TOKEN']}"})
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                page = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return
        yield from page["results"]
        url = page["next"]


def name_of(row, rows):
    """What a row is called within its parent."""
    name = next((row[field] for field in NAMES if row.get(field)), row.get("display"))
    if "kind" in row and "comments" in row:  # a journal entry
        name = row["comments"]
    parent = next((row[field] for field in PARENTS if isinstance(row.get(field), dict)), None)
    if parent and parent["url"] in rows:
        return f"{name_of(rows[parent['url']], rows)}/{called(name, rows)}"
    return str(called(name, rows))


def called(value, rows):
    """A value without ids: a related row by its name, a choice by its value, a list in any order."""
    if isinstance(value, list):
        return sorted((called(item, rows) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if not isinstance(value, dict):
        return value
    if set(value) == {"value", "label"}:
        return value["value"]
    if "url" in value and "id" in value:
        return name_of(rows.get(value["url"], value), rows)
    return {field: canonical(field, called(item, rows)) for field, item in value.items()}


def canonical(field, value):
    return ",".join(sorted(value.split(","))) if field in SETS and isinstance(value, str) else value


def dump(path):
    read_rows = {collection: list(read(collection)) for collection in COLLECTIONS}
    rows = {row["url"]: row for collection in read_rows.values() for row in collection}
    state = {}
    for collection, found in read_rows.items():
        named = state[collection] = {}
        for row in found:
            name = name_of(row, rows)
            while name in named:
                name += "'"
            named[name] = {field: canonical(field, called(value, rows)) for field, value in row.items()
                           if field not in LEFT_OUT and not field.endswith("_count")}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(state, file, indent=1, sort_keys=True)


def diff(first, second):
    with open(first, encoding="utf-8") as one, open(second, encoding="utf-8") as two:
        one, two = json.load(one), json.load(two)
    found = 0
    for collection in COLLECTIONS:
        left, right = one.get(collection, {}), two.get(collection, {})
        lines = [f"  - {name}" for name in sorted(left.keys() - right.keys())]
        lines += [f"  + {name}" for name in sorted(right.keys() - left.keys())]
        fields = collections.defaultdict(list)
        for name in sorted(left.keys() & right.keys()):
            for field in sorted(left[name].keys() | right[name].keys()):
                before, after = left[name].get(field), right[name].get(field)
                if before != after:
                    fields[field].append(f"      {name}: {json.dumps(before)} -> {json.dumps(after)}")
        for field, changes in fields.items():
            lines += [f"    {field}: {len(changes)}", *changes]
        if lines:
            print(f"{collection}: {len(left)} rows, {len(right)} rows", *lines, sep="\n")
            found += len(left.keys() ^ right.keys()) + sum(map(len, fields.values()))
    print(f"{found} differences")
    return 1 if found else 0


def main():
    match sys.argv[1:]:
        case ["dump", path]:
            return dump(path)
        case ["diff", first, second]:
            return diff(first, second)
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
