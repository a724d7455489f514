from django.db import migrations, models


def look_at_what_may_wait(apps, schema_editor):
    """Draws with a lost prize are looked at once; those in which nothing waits are not looked at again."""
    lost = apps.get_model('prizes', 'Win').objects.exclude(status__in=['won', 'claimed'])
    draws = apps.get_model('prizes', 'Draw').objects.filter(step='published', pk__in=lost.values('draw'))
    draws.update(settle_at_ms=0)


class Migration(migrations.Migration):

    dependencies = [
        ('engagement', '0007_segments_by_phase'),
        ('prizes', '0002_draws_anyone_can_check'),
    ]

    operations = [
        migrations.AddField(model_name='draw', name='settle_at_ms', field=models.BigIntegerField(null=True)),
        migrations.AddIndex(model_name='draw', index=models.Index(fields=['step'], name='draws_by_step')),
        migrations.AddIndex(model_name='draw', index=models.Index(fields=['settle_at_ms'], name='draws_to_settle')),
        migrations.AddIndex(
            model_name='win', index=models.Index(fields=['status', 'claim_by'], name='wins_by_deadline')
        ),
        migrations.RunPython(look_at_what_may_wait, migrations.RunPython.noop, elidable=True),
    ]
