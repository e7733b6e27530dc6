# Inputs and params of the rules in bank.smk.


def shards_option(wildcards):
    """Argument with the number of shards of a bank."""
    return f"--shards {STUDY.banks[wildcards.bank].shards}"


def embeddings_of_neighbours(wildcards):
    """Embeddings of the training images, if the bank has the nearest neighbours of its sources."""
    return train_embeddings(wildcards) if STUDY.banks[wildcards.bank].kind == "neighbours" else []
