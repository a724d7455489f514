// Passkeys: the browser makes one, or signs with it, and the form sends what it says.
import { mark, say } from "../engagement/words.js";

const TROUBLE = mark("The passkey was not used. Is this page opened by its name, over https?");

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const said = form.querySelector("[role=alert]");
  form.addEventListener("submit", async (event) => {
    if (form.elements.credential.value) return;
    event.preventDefault();
    said.hidden = true;
    try {
      const options = JSON.parse(document.getElementById("passkey-options").textContent);
      const credential = await globalThis.webauthnJSON[form.dataset.passkey](options);
      form.elements.credential.value = JSON.stringify(credential);
      form.submit();
    } catch (error) {
      said.textContent = error.name === "InvalidStateError" ? say("This one is set up already.") : say(TROUBLE);
      said.hidden = false;
    }
  });
}
