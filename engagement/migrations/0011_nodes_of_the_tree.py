import hashlib

from django.db import migrations, models

from engagement.ledger.guards import lift

AT_ONCE = 1_000


def keep_nodes(apps, schema_editor):
    """Each entry gets the hashes of the tree that are complete with it; the guards come back after the migration."""
    Entry = apps.get_model('engagement', 'LedgerEntry')
    shows = Entry.objects.order_by('show').values_list('show', flat=True).distinct()
    if not shows.exists():
        return
    lift(schema_editor.connection)
    for show in list(shows):
        keep_nodes_of(Entry.objects.filter(show=show).order_by('position'), schema_editor.connection)


def keep_nodes_of(entries, connection):
    left, number, last = {}, 0, -1  # left: the last complete node of each level
    while batch := list(entries.filter(position__gt=last).values_list('pk', 'position', 'digest')[:AT_ONCE]):
        rows = []
        for key, last, digest in batch:
            rows.append((complete(left, number, digest), key))
            number += 1
        with connection.cursor() as cursor:
            cursor.executemany('UPDATE engagement_ledgerentry SET nodes = %s WHERE id = %s', rows)


def complete(left, number, digest):
    """RFC 9162, section 2.1: the leaf, and every node that it is the right end of."""
    hashes, level = [hashlib.sha256(b'\x00' + from_hex(digest)).digest()], 0
    while number >> level & 1:
        hashes.append(hashlib.sha256(b'\x01' + left[level] + hashes[-1]).digest())
        level += 1
    left.update(enumerate(hashes))
    return b''.join(hashes).hex()


def from_hex(digest):
    try:
        return bytes.fromhex(digest)
    except ValueError:  # somebody wrote what is no hex; no entry has this digest
        return b''


class Migration(migrations.Migration):

    dependencies = [
        ('engagement', '0010_newest_shows_first'),
    ]

    operations = [
        migrations.AddField(
            model_name='ledgerentry', name='nodes', field=models.TextField(blank=True, default=''), preserve_default=False
        ),
        migrations.RunPython(keep_nodes, migrations.RunPython.noop, elidable=True),
    ]
