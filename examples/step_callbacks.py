"""Callbacks after steps: watch a run, shorten what the model sees of old steps, and stop it in between."""

from models import code, model_or

from cloche.agent import ActionStep, AgentInterrupted, CodeAgent, MultiStepAgent, PlanningStep

LINES = [
    "1. Count. 2. Answer.",
    code("I count.", "for n in range(3000): print(n)"),
    code("I count on.", "print('and on')"),
    code("Never reached.", "final_answer('done')"),
]


def watch(step: ActionStep) -> None:
    """Print what happened."""
    print(f"step {step.number}: {len(step.observation)} characters of observation")


def forget_old_output(step: ActionStep, agent: MultiStepAgent) -> None:
    """Leave only a note of observations that are older than this step."""
    for old in agent.memory.actions[:-1]:
        if len(old.observation) > 100:
            old.observation = "(long output, left out)"


def stop_after_two(step: ActionStep, agent: MultiStepAgent) -> None:
    """Stop the run from inside."""
    if step.number == 2:
        agent.interrupt()


def main() -> None:
    """Run the agent with callbacks by type of step."""
    callbacks = {
        PlanningStep: lambda step: print(f"plan: {step.plan}"),
        ActionStep: [watch, forget_old_output, stop_after_two],
    }
    with CodeAgent([], model_or(LINES), step_callbacks=callbacks, planning_interval=5) as agent:
        try:
            agent.run("Count.")
        except AgentInterrupted as stopped:
            print(stopped)
        print(agent.memory.actions[0].observation)


if __name__ == "__main__":
    main()
