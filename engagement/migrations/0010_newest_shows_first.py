from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('engagement', '0009_steps_of_wins'),
    ]

    operations = [
        migrations.AlterModelOptions(name='show', options={'ordering': ('-id',)}),
    ]
