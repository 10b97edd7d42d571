import { useState } from 'react';
import { useMutation } from 'urql';
import { OF_CONNECTORS } from '../api/cache.ts';
import { CHOICES, NONE } from '../browse/search.ts';
import { useTexts } from '../texts/texts.tsx';
import { isWhole, Refused, type Target } from './bulk.tsx';
import { Errors, errorsOf, errorsWithout, Field } from './Field.tsx';
import { FormDialog } from './FormDialog.tsx';
import { Curate } from './queries.ts';

interface Props {
  readonly targets: readonly Target[];
  readonly title: string;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

type Offered = Exclude<(typeof CHOICES.category)[number], typeof NONE>;
const OFFERED = CHOICES.category.filter((value): value is Offered => value !== NONE);

/** Sets the category of official or platform-built connectors over what their files say, or restores the files'. */
export function CategoryDialog({ targets, title, onClose, onDone }: Props) {
  const { edit, labels } = useTexts();
  const [category, setCategory] = useState<Offered | null>(null);
  const [{ data, error, fetching }, send] = useMutation(Curate);
  const answer = data?.updateCatalogConnectors;
  const errors = answer?.userErrors ?? [];
  const submit = async () => {
    const sent = await send({ input: { ids: targets.map(({ id }) => id), category, errorPolicy: 'REJECT_ALL' } }, OF_CONNECTORS);
    if (isWhole(sent.data?.updateCatalogConnectors)) onDone();
  };
  return (
    <FormDialog title={title} submit={edit.save} isBusy={fetching} error={error} onSubmit={() => void submit()} onClose={onClose}>
      <Field name="category" label={labels.field.CATEGORY} hint={edit.categoryHint} errors={errorsOf(errors, 'category')}>
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
      <Errors errors={errorsWithout(errors, ['category'])} />
      <Refused answer={answer} targets={targets} />
    </FormDialog>
  );
}
