from django.db import migrations, models

# Names as they were told until now: two words of sixteen, and four digits of the pseudonym.
COLOURS = ("Amber", "Azure", "Coral", "Crimson", "Golden", "Indigo", "Ivory", "Jade", "Pearl", "Rose", "Ruby",
           "Sapphire", "Scarlet", "Silver", "Teal", "Violet")
THINGS = ("Bamboo", "Comet", "Crane", "Dolphin", "Firefly", "Harbour", "Lantern", "Lotus", "Magpie", "Moon", "Orchid",
          "Panda", "Peony", "River", "Swallow", "Willow")


def told_name(pseudonym):
    """Who was told to the hall by a name keeps it."""
    colour, thing = (int(pseudonym[start:start + 2], 16) % 16 for start in (4, 6))
    return f"{COLOURS[colour]} {THINGS[thing]} {pseudonym[:4]}"


def name_winners(apps, schema_editor):
    known, counts, changed = {}, {}, []
    Win = apps.get_model("prizes", "Win")
    for win in Win.objects.order_by("pk").only("show", "pseudonym").iterator(1_000):
        whose = (win.show_id, win.pseudonym)
        if whose not in known:
            name = told_name(win.pseudonym)
            count = counts[win.show_id, name] = counts.get((win.show_id, name), 0) + 1
            known[whose] = name if count == 1 else f"{name} ({count})"
        win.name = known[whose]
        changed.append(win)
        if len(changed) == 1_000:
            Win.objects.bulk_update(changed, ["name"])
            changed = []
    Win.objects.bulk_update(changed, ["name"])


class Migration(migrations.Migration):

    dependencies = [
        ('prizes', '0014_review'),
    ]

    operations = [
        migrations.AddField(
            model_name='win',
            name='name',
            field=models.CharField(default='', max_length=60),
            preserve_default=False,
        ),
        migrations.RunPython(name_winners, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name='win',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['won', 'claimed'])), fields=('show', 'name'), name='one_winner_of_a_name_per_show'),
        ),
    ]
