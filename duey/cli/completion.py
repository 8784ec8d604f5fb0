"""Tab completion for bash, zsh and fish: a script for the shell, and the words that it asks for.

The script calls `duey completion words -- duey WORD ...` at each Tab, with the words up to the cursor, the last one
perhaps empty, and offers what that prints. It is made from the parser, so that nothing is listed twice, and takes about
0.1 s; where a task or a queue is wanted, also the time to import the task modules.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence

SHELLS = {
    "bash": """\
_duey() {
    local IFS=$'\\n'
    COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" completion words -- "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)" \\
        -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _duey duey
""",
    "zsh": """\
#compdef duey
_duey() {
    local -a found
    found=(${(f)"$(${words[1]} completion words -- "${(@)words[1,CURRENT]}" 2>/dev/null)"})
    (( $#found )) && compadd -a found || _files
}
compdef _duey duey
""",
    "fish": """\
function __duey
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    $words[1] completion words -- $words "$current" 2>/dev/null
end
complete -c duey -a '(__duey)'
""",
}
PLAIN = re.compile(r"[\w.:@/-]+")  # what no shell takes for more than a word


def script(shell: str) -> str:
    """Print the script that completes the words of duey in a shell.

    bash: duey completion bash > ~/.local/share/bash-completion/completions/duey
    zsh: duey completion zsh > FOLDER/_duey, where FOLDER is in fpath
    fish: duey completion fish > ~/.config/fish/completions/duey.fish
    """
    return SHELLS[shell]


def candidates(top: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """The words that can stand in the place of the last one."""
    parser, place, wanted = top, 0, None
    *before, current = words or [""]
    for word in before:
        if wanted is not None:  # the value of the option before
            wanted = None
        elif word.startswith("-"):
            action = parser._option_string_actions.get(word)
            wanted = action if action is not None and action.nargs != 0 else None
        elif (child := commands_of(parser).get(word)) is not None:
            parser, place = child, 0
        else:
            place += 1
    if wanted is None and current.startswith("-"):
        found: Iterable[str] = parser._option_string_actions
    else:
        found = values(parser, wanted or positional(parser, place))
    return sorted({each for each in found if each.startswith(current) and PLAIN.fullmatch(each)})


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands below a parser."""
    below = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return {name: child for each in below for name, child in each.choices.items()}


def positional(parser: argparse.ArgumentParser, place: int) -> argparse.Action | None:
    """The argument at a place, counted from 0. The last one takes all that follow if it takes many."""
    actions = [each for each in parser._actions if not each.option_strings]
    if place < len(actions):
        return actions[place]
    return actions[-1] if actions and actions[-1].nargs in ("*", "+") else None


def values(parser: argparse.ArgumentParser, action: argparse.Action | None) -> Iterator[str]:
    """What can be given for an argument."""
    if action is None:
        return
    if action.choices:
        yield from map(str, action.choices)
    elif action.dest in ("task", "target"):
        yield from registered()[0]
    elif action.dest == "queue":
        yield from registered()[1]


def registered() -> tuple[set[str], set[str]]:
    """The names of the tasks, and those of the queues that tasks and consumers name. Opens no storage."""
    from duey import huey, load_tasks, settings
    from duey.tasks.registry import KnownTasks

    with contextlib.redirect_stdout(io.StringIO()):  # of task modules
        load_tasks()
    known = KnownTasks(huey)
    infos = [known.info(each, set()) for each in known.all()]
    queues = {"default"} | {str(each.options["queue"]) for each in infos if each.options.get("queue")}
    return {each.name for each in infos}, queues | {each.name for each in settings.consumer.queues}


def words(top: argparse.ArgumentParser, given: Sequence[str]) -> int:
    """Print the words, one a line. Without settings or tasks there are none, and no error."""
    with contextlib.suppress(Exception):
        print("\n".join(candidates(top, given[1:])))
    return 0
