import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('engagement', '0013_salted_people'),
        ('prizes', '0004_lists_in_pages'),
    ]

    operations = [
        migrations.CreateModel(
            name='Quorum',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('needed', models.PositiveSmallIntegerField(default=1, help_text="So many witnesses of the show have to have cosigned the seal before the beacon's round.", validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(16)])),
                ('unwitnessed', models.CharField(choices=[('wait', 'wait: the draw waits for them'), ('go on', 'go on: the draw goes on and is labelled as not witnessed')], default='go on', max_length=8, verbose_name='without them')),
                ('show', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='quorum', to='engagement.show')),
            ],
        ),
        migrations.CreateModel(
            name='Cosignature',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('size', models.PositiveBigIntegerField()),
                ('witness', models.CharField(max_length=120)),
                ('line', models.CharField(max_length=300)),
                ('at_ms', models.BigIntegerField()),
                ('show', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='cosignatures', to='engagement.show')),
            ],
            options={
                'ordering': ('show', 'size', 'witness'),
                'constraints': [models.UniqueConstraint(fields=('show', 'witness', 'size'), name='one_cosignature_of_a_witness')],
            },
        ),
        migrations.CreateModel(
            name='Witness',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(editable=False, max_length=120)),
                ('key', models.CharField(help_text='Its public key, name+id+base64, as its program prints it; in the rules.', max_length=200)),
                ('url', models.CharField(help_text='Where it answers, as in https://witness.example.com; redirects are not followed.', max_length=200, validators=[django.core.validators.RegexValidator('^https?://([A-Za-z0-9.-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?\\Z', 'Expected http:// or https://, a host and perhaps a port and a path.')], verbose_name='address')),
                ('known', models.PositiveBigIntegerField(default=0, editable=False)),
                ('trouble', models.CharField(blank=True, editable=False, max_length=300)),
                ('show', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='witnesses', to='engagement.show')),
            ],
            options={
                'verbose_name_plural': 'witnesses',
                'ordering': ('show', 'name'),
                'constraints': [models.UniqueConstraint(fields=('show', 'name'), name='one_witness_of_a_name')],
            },
        ),
    ]
