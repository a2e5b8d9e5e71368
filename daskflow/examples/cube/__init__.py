"""A cube of a gigabyte in the artifact store, of which each job reads the channel it needs: the flow `cube_study`."""

from daskflow.examples.cube.study import cube_study as cube_study
