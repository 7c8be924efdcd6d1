// Times in the reader's own zone.
import { when } from "./player/words.js";

for (const one of document.querySelectorAll("time")) one.textContent = when(one.dateTime);
