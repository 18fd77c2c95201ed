"""An agent that keeps notes: what one run writes down, another run, in another session, finds again."""

import tempfile
from pathlib import Path

from models import code, model_or

from cloche.agent import CodeAgent
from cloche.host_tools.builtin import Memo, SQLiteNotes

TELL = [code("I note what is worth keeping.", "memo_set('birthdays/ada', '10 December')\nfinal_answer('Noted.')")]
ASK = [
    code("I look at what I know.", "print(memo_list())"),
    code("There it is.", "final_answer(f\"Ada's birthday is on {memo_get('birthdays/ada')}.\")"),
]


def main() -> None:
    """Run two agents, one after the other, over the same notes."""
    with tempfile.TemporaryDirectory() as folder:
        notes = SQLiteNotes(Path(folder) / "notes.db")
        for task, lines in (("Remember that Ada was born on 10 December.", TELL), ("When is Ada's birthday?", ASK)):
            with CodeAgent(Memo(notes).tools(), model_or(lines)) as agent:
                print(agent.run(task))
        notes.close()


if __name__ == "__main__":
    main()
