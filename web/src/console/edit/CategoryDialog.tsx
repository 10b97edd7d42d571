import { useState } from 'react';
import { useMutation } from 'urql';
import { OF_CONNECTORS } from '../api/cache.ts';
import { CHOICES, NONE } from '../browse/search.ts';
import { Dialog } from '../parts/Dialog.tsx';
import { sentenceOf } from '../parts/Problem.tsx';
import { useTexts } from '../texts/texts.tsx';
import { Field } from './Field.tsx';
import { Curate } from './queries.ts';

interface Props {
  readonly ids: readonly string[];
  readonly title: string;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

type Offered = Exclude<(typeof CHOICES.category)[number], typeof NONE>;
const OFFERED = CHOICES.category.filter((value): value is Offered => value !== NONE);

/** Sets the category of official or platform-built connectors over what their files say, or restores the files'. */
export function CategoryDialog({ ids, title, onClose, onDone }: Props) {
  const texts = useTexts();
  const { edit, labels, page } = texts;
  const [category, setCategory] = useState<Offered | null>(null);
  const [{ data, error, fetching }, send] = useMutation(Curate);
  const answer = data?.updateCatalogConnectors;
  const errors = [...(answer?.userErrors ?? []), ...(answer?.results.flatMap(({ userErrors }) => userErrors) ?? [])];
  const submit = async () => {
    const sent = await send({ input: { ids: [...ids], category, errorPolicy: 'REJECT_ALL' } }, OF_CONNECTORS);
    const result = sent.data?.updateCatalogConnectors;
    if (result && result.userErrors.length === 0 && result.results.every(({ userErrors }) => userErrors.length === 0)) onDone();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        className="form"
        onSubmit={event => {
          event.preventDefault();
          void submit();
        }}
      >
        <Field name="category" label={labels.field.CATEGORY} hint={edit.categoryHint} errors={errors}>
          {attributes => (
            <select
              {...attributes}
              value={category ?? NONE}
              onChange={({ target }) => setCategory(OFFERED.find(value => value === target.value) ?? null)}
            >
              <option value={NONE}>{edit.fileCategory}</option>
              {OFFERED.map(value => <option key={value} value={value}>{labels.category[value]}</option>)}
            </select>
          )}
        </Field>
        {error && <p className="error" role="alert">{sentenceOf(texts, error)}</p>}
        <p className="buttons">
          <button type="submit" className="primary" disabled={fetching}>{edit.save}</button>
          <button type="button" onClick={onClose}>{page.cancel}</button>
        </p>
      </form>
    </Dialog>
  );
}
