// Semantic search: the passages that answer a question, found by meaning and not by words.
//   node examples/semantic-search.mjs [MODEL] ["A QUESTION" ...]   (a model's folder or its name on the Hub)
import { Encoder } from "neobert";

const [model = "sentence-transformers/all-MiniLM-L6-v2", ...asked] = process.argv.slice(2);
const passages = [
  "Sourdough rises by wild yeast and bacteria that live in the starter; feed it with flour and water every day.",
  "A bicycle chain that slips under load is usually worn: measure it with a chain gauge and replace it.",
  "The northern lights appear when charged particles from the Sun meet the upper atmosphere near the poles.",
  "Tomato seedlings turn leggy when they get too little light; put them on a sunny sill or under a lamp.",
  "To lower a fever in adults, drink a lot, rest, and take paracetamol at most every six hours.",
  "Git keeps every commit for a while even after a reset: `git reflog` shows where the branch has been.",
  "The Treaty of Westphalia ended the Thirty Years' War in 1648.",
  "Noise-cancelling headphones play the inverse of the sound outside, so that the two cancel out.",
  "Octopuses have three hearts, and blue blood that carries oxygen with copper instead of iron.",
  "A mortgage with a fixed rate costs the same every month, whatever the central bank does.",
  "Bees tell each other the way to flowers by the direction and length of a waggle dance.",
  "Salt lowers the freezing point of water, which is why it is strewn on icy roads.",
];
const questions = [
  "I lost my last changes in version control, can I get them back?",
  "why is the sky glowing green in Norway?",
  "how do insects communicate?",
  "keeping winter streets safe",
];

const start = performance.now();
const encoder = await Encoder.load(model);
const documents = await encoder.encode(passages, { role: "document" });
for (const question of asked.length > 0 ? asked : questions) {
  const query = await encoder.encode(question, { role: "query" });
  const scores = encoder.similarity(query, documents).row(0);
  const best = [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, 2);
  console.log(question);
  for (const i of best) console.log(`  ${scores[i].toFixed(3)}  ${passages[i]}`);
}
await encoder.dispose();
console.log(`${passages.length} passages, ${((performance.now() - start) / 1000).toFixed(1)} s`);
