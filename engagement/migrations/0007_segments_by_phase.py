from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('engagement', '0006_installation'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='segment', index=models.Index(fields=['phase', 'opens_at'], name='segments_by_phase')
        ),
    ]
