// The fields of `model` in a run file: those of the encoders' published config.json files, under their names, as each
// encoder's own file describes them (model/). All are optional, as the published defaults are there too. A field that
// several encoders have takes what any of them takes; reading the config refuses what its own does not.

import { z } from "zod";
import { architectureOf, modelTypes } from "../../model/index.js";

const encoders = modelTypes.map((model_type) => architectureOf({ model_type }));

/** What a field holds, without its default. */
function bare(field: z.core.$ZodType): z.core.$ZodType {
  if (field instanceof z.ZodDefault || field instanceof z.ZodOptional || field instanceof z.ZodNullable) {
    return bare(field.unwrap());
  }
  return field instanceof z.ZodPipe ? bare(field.out) : field; // what is read in other spellings too
}

/** One field for those of several encoders: the names that any of them takes, the described fields of a mapping. */
function anyOf(fields: z.core.$ZodType[]): z.core.$ZodType {
  const [first, ...others] = fields.map(bare);
  if (first instanceof z.ZodLiteral && others.length === 0) return first; // true and false stay what they are
  if (first instanceof z.ZodEnum || first instanceof z.ZodLiteral) {
    const values = [first, ...others].flatMap((field) =>
      field instanceof z.ZodEnum ? field.options : field instanceof z.ZodLiteral ? [...field.values] : [],
    );
    return z.enum([...new Set(values.map(String))]);
  }
  if (first instanceof z.ZodObject) {
    const shapes = [first, ...others].flatMap((field) => (field instanceof z.ZodObject ? [field.shape] : []));
    return z.strictObject(options(shapes.map((fields) => ({ title: "", fields }))));
  }
  return first!;
}

interface Fields {
  title: string;
  fields: z.core.$ZodLooseShape;
}

/** The described fields by name, each optional, with what it means in which of the encoders. */
function options(of: readonly Fields[]): Record<string, z.ZodOptional<z.core.$ZodType>> {
  const names = new Set(of.flatMap(({ fields }) => Object.keys(fields)));
  const found = [...names].flatMap((name) => {
    const owners = of.flatMap(({ title, fields }) => {
      const meta = fields[name] && z.globalRegistry.get(fields[name]);
      return meta?.description ? [{ title, field: fields[name]!, meta, description: meta.description }] : [];
    });
    if (owners.length === 0) return [];
    const titles = (description: string) =>
      owners.filter((owner) => owner.description === description).map(({ title }) => title);
    const description = [...new Set(owners.map(({ description }) => description))]
      .map((text) => (titles(text).length === of.length ? text : `${text} (${titles(text).join(", ")})`))
      .join("; ");
    const { fallback } = owners.find(({ meta }) => meta.fallback)?.meta ?? {};
    const field = z.optional(anyOf(owners.map(({ field }) => field)));
    return [[name, field.meta({ description, ...(fallback !== undefined && { fallback }) })] as const];
  });
  return Object.fromEntries(found);
}

const own = {
  from: z.string().min(1).optional().describe("Model to continue from: a folder, a run's folder or a name on the Hub"),
  model_type: z.enum(modelTypes).optional().meta({ description: "Architecture", fallback: "neobert" }),
};

/** The encoders' fields are there too, but only these two have a type of their own. */
export const modelSchema: z.ZodObject<typeof own, z.core.$strict> = z.strictObject({ ...own, ...options(encoders) });

/** The fields of an architecture's config.json that can be set. */
export function fieldsOf(modelType: string): string[] {
  const { fields } = architectureOf({ model_type: modelType });
  const isDescribed = (field: z.core.$ZodType) => z.globalRegistry.get(field)?.description !== undefined;
  return ["model_type", ...Object.keys(fields).filter((name) => isDescribed(fields[name]!))];
}

/** The given fields that this architecture does not have. */
export function foreignFields({ from: _, model_type = "neobert", ...fields }: z.output<typeof modelSchema>): string[] {
  const known = new Set(fieldsOf(model_type));
  return Object.entries(fields).flatMap(([key, value]) => (value === undefined || known.has(key) ? [] : [key]));
}
