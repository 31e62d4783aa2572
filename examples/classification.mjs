// Classification without training: a few examples of each label, and the label whose examples a text is closest to on the mean.
// (A model that has been trained to classify is used by `Classifier`: see `neobert classify --help`.)
//   node examples/classification.mjs [MODEL]   (a model's folder or its name on the Hub)
import { Encoder } from "neobert";

const [model = "sentence-transformers/all-MiniLM-L6-v2"] = process.argv.slice(2);
const examples = {
  billing: ["I was charged twice this month", "Where can I download my invoice?", "Please refund my last payment"],
  delivery: ["My parcel has not arrived", "Can I change the shipping address?", "The courier left it next door"],
  account: ["I cannot log in", "How do I change my password?", "Please delete my profile"],
  praise: ["Great service, thank you!", "I love this product", "Your team was wonderful"],
};
const texts = {
  billing: ["Why is there a second debit on my credit card?", "I need a receipt for the tax office"],
  delivery: ["The package is stuck in transit since Monday", "Send it to my office instead"],
  account: ["It says my user name is unknown", "I forgot my login details"],
  praise: ["You made my day, fantastic support", "Best purchase of the year"],
};

const encoder = await Encoder.load(model);
const labels = Object.keys(examples);
const means = [];
for (const label of labels) {
  const vectors = await encoder.encode(examples[label]);
  means.push(vectors.row(0).map((_, c) => [...vectors].reduce((sum, row) => sum + row[c], 0) / vectors.length));
}
let right = 0;
let count = 0;
for (const [label, ofLabel] of Object.entries(texts)) {
  for (const text of ofLabel) {
    const vector = await encoder.encode(text);
    const scores = means.map((mean) => encoder.similarity(vector, mean));
    const best = labels[scores.indexOf(Math.max(...scores))];
    console.log(`${best === label ? "  " : "x "}${best.padEnd(9)} ${Math.max(...scores).toFixed(2)}  ${text}`);
    right += best === label ? 1 : 0;
    count++;
  }
}
await encoder.dispose();
console.log(`${right} of ${count} right, from ${Object.values(examples).flat().length} examples`);
