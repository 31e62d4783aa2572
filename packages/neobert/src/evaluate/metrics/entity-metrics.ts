// Scores of tagged words by whole entities, as conlleval and seqeval count: an entity is right when its first word, last
// word and kind are. Tags are O, or a kind behind B-, I-, E- or S-; an I- or E- without a beginning begins one.

export interface EntityScores {
  precision: number;
  recall: number;
  f1: number;
}

/** Precision, recall and F1 over the entities of all texts together; a quotient of nothing is 0. */
export function entityScores(expected: readonly string[][], predicted: readonly string[][]): EntityScores {
  let [right, actual, found] = [0, 0, 0];
  for (const [i, tags] of expected.entries()) {
    const entities = new Set(entitiesOf(tags));
    const guesses = entitiesOf(predicted[i]!);
    actual += entities.size;
    found += guesses.length;
    right += guesses.filter((entity) => entities.has(entity)).length;
  }
  const divide = (a: number, b: number) => (b === 0 ? 0 : a / b);
  return { precision: divide(right, found), recall: divide(right, actual), f1: divide(2 * right, found + actual) };
}

/** "KIND FIRST LAST" of each entity. */
function entitiesOf(tags: readonly string[]): string[] {
  const entities: string[] = [];
  let open: { kind: string; start: number } | undefined;
  for (let i = 0; i <= tags.length; i++) {
    const [prefix, kind] = split(tags[i] ?? "O");
    const goesOn = open !== undefined && (prefix === "I" || prefix === "E") && kind === open.kind;
    if (open && !goesOn) {
      entities.push(`${open.kind} ${open.start} ${i - 1}`);
      open = undefined;
    }
    if (prefix === "O") continue;
    open ??= { kind, start: i };
    if (prefix === "E" || prefix === "S") {
      entities.push(`${kind} ${open.start} ${i}`);
      open = undefined;
    }
  }
  return entities;
}

function split(tag: string): [prefix: string, kind: string] {
  const match = /^([BIES])-(.*)$/.exec(tag);
  return match ? [match[1]!, match[2]!] : ["O", ""];
}

/** Whether names of labels are tags of entities. */
export const areEntityTags = (labels: readonly string[]): boolean =>
  labels.includes("O") && labels.every((label) => label === "O" || /^[BIES]-/.test(label));
