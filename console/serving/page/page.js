"use strict";

// The keyboard is the console's from the start, without a click into it.
function focus() {
  const keys = document.querySelector(".xterm-helper-textarea");
  if (keys) keys.focus();
}

document.getElementById("again").addEventListener("click", () => window.location.reload());
window.addEventListener("focus", focus);
new MutationObserver(() => {
  if (document.body.classList.contains("-closed")) document.getElementById("again").focus();
  else focus();
}).observe(document.body, { attributes: true, attributeFilter: ["class"] });
