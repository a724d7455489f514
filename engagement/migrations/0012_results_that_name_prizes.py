from django.db import migrations

LISTED = 20  # winners of a draw


def name_prizes(apps, schema_editor):
    """Results of segments that were published before name prizes by id and list the first winners, as new ones do."""
    Segment, Show = apps.get_model('engagement', 'Segment'), apps.get_model('engagement', 'Show')
    published = Segment.objects.filter(phase='published').order_by('pk')
    for segment in published.only('pk', 'announced_results').iterator(chunk_size=200):
        results = [renew(result) for result in segment.announced_results]
        if results != segment.announced_results:
            Segment.objects.filter(pk=segment.pk).update(announced_results=results)
    # Their winners are told again when they come back.
    Show.objects.filter(pk__in=published.values('show'), wins_step=0).update(wins_step=1)


def renew(result):
    if 'winners_url' in result:
        return result
    first = result['winners'][:LISTED]
    prizes = {winner['prize']['id']: winner['prize'] for winner in first}
    return {
        **result,
        'winners': [{**winner, 'prize': winner['prize']['id']} for winner in first],
        'winners_total': len(result['winners']),
        'winners_url': f'/api/draws/{result["draw"]}/winners',
        'prizes': list(prizes.values()),
    }


class Migration(migrations.Migration):

    dependencies = [
        ('engagement', '0011_nodes_of_the_tree'),
    ]

    operations = [
        migrations.RunPython(name_prizes, migrations.RunPython.noop, elidable=True),
    ]
