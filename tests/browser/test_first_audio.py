"""From the click on Join to the first sound of a caller in the page; GOES=10 pytest -s shows figures.

No limit is tested here that a busy machine could break, only that there is sound at all.
"""

import os
from statistics import median
from typing import Final

from tests.browser.people import BrowserSetup

GOES: Final = int(os.environ.get("GOES", "1"))  # noqa: TID251 - a knob of the test's own

# Clicks, and tells after how many milliseconds the first stream has sound in it.
FIRST_SOUND: Final = """
async () => {
  const context = new AudioContext();
  await context.resume();
  const began = performance.now();
  document.querySelector("#join-button").click();
  let analyser = null;
  const samples = new Float32Array(256);
  while (performance.now() - began < 20000) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const stream = document.querySelector("audio[data-participant]")?.srcObject;
    if (!analyser && stream) {
      analyser = context.createAnalyser();
      analyser.fftSize = samples.length;
      context.createMediaStreamSource(stream).connect(analyser);
    }
    analyser?.getFloatTimeDomainData(samples);
    if (analyser && samples.some((sample) => Math.abs(sample) > 0.01)) return performance.now() - began;
  }
  return null;
}
"""


async def test_first_sound(stage: BrowserSetup) -> None:
    phone = await stage.phone()
    waited = []
    for go in range(GOES):
        ada = await stage.arrive(1000 + go)
        await ada.open(await stage.link())
        await ada.check_microphone()
        sound = await ada.page.evaluate(FIRST_SOUND)
        assert sound, "nothing is heard"
        waited.append(round(sound))
        await ada.is_in()
        await ada.leave()
    await phone.hang_up()
    print(f"\njoin to first sound: median {median(waited)} ms of {waited}")
