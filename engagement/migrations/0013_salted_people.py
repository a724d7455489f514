from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('engagement', '0012_results_that_name_prizes'),
    ]

    # Entries that were written before have no salt: their digests stay what they are.
    operations = [
        migrations.AddField(
            model_name='ledgerentry', name='salt', field=models.CharField(blank=True, default='', max_length=32),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='ledgerentry', name='people', field=models.TextField(blank=True, default=''), preserve_default=False
        ),
    ]
