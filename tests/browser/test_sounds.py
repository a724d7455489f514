"""The sounds of the stage as a browser makes them: heard, not too loud, and silent at their end."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

SOURCE = Path(__file__).parents[2] / "engagement/static/engagement/sounds.js"
RENDER = """async () => {
  const { SOUNDS, lengthOf, schedule } = window.sounds;
  const found = {};
  for (const [name, make] of Object.entries(SOUNDS)) {
    const context = new OfflineAudioContext(1, 44100 * (lengthOf(make()) + 0.2), 44100);
    schedule(context, context.destination, make(), 0);
    const samples = (await context.startRendering()).getChannelData(0);
    let [loudest, power] = [0, 0];
    for (const sample of samples) {
      loudest = Math.max(loudest, Math.abs(sample));
      power += sample * sample;
    }
    const tail = samples.slice(-2205).reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    found[name] = { loudest, power: Math.sqrt(power / samples.length), tail };
  }
  return found;
}"""

pytestmark = pytest.mark.browser


def test_every_sound_is_heard_and_none_is_distorted(browser: Browser) -> None:
    page = browser.new_page()
    names = "window.sounds = { SOUNDS, lengthOf, schedule };"
    page.add_script_tag(type="module", content=f"{SOURCE.read_text()}\n{names}")
    page.wait_for_function("window.sounds")
    found = page.evaluate(RENDER)
    page.close()
    print(found)
    assert len(found) == 9
    for name, heard in found.items():
        assert 0.1 < heard["loudest"] < 1, (name, heard)
        assert heard["power"] > 0.01 and heard["tail"] < 0.001, (name, heard)
