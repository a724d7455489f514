from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('engagement', '0010_newest_shows_first'),
        ('prizes', '0003_steps_that_wait'),
    ]

    operations = [
        migrations.RemoveIndex(model_name='draw', name='draws_by_step'),
        migrations.AddIndex(model_name='draw', index=models.Index(fields=['step', 'id'], name='draws_by_step')),
        migrations.AddIndex(
            model_name='win', index=models.Index(fields=['show', 'draw', 'rank'], name='wins_of_a_show')
        ),
    ]
